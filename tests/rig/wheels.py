"""Tiny stand-ins for the frameworks of AIME's images, laid out as pip installs them.

They carry the real names, versions and requirements, since those are what a build must not break,
and answer the few questions that people and the product ask of a framework.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath

#: Where Debian's pip puts what is installed for the whole system.
SITE_PACKAGES = PurePosixPath("usr/local/lib/python3.11/dist-packages")

_VISIBLE = '''\
"""Which GPUs this container was given."""
import os


def devices():
    """UUIDs or indices from NVIDIA_VISIBLE_DEVICES; none for a container without a GPU."""
    value = os.environ.get("NVIDIA_VISIBLE_DEVICES", "")
    return [] if value in ("", "void", "none") else value.split(",")
'''

_TORCH = '''\
"""A stand-in for PyTorch: no tensors, only what tells versions and GPUs."""
from . import cuda, version
from .version import __version__
'''
_TORCH_VERSION = '__version__ = "2.5.1+cu121"\ncuda = "12.1"\nhip = None\n'
_TORCH_CUDA = """\
from .._visible import devices


def is_available():
    return bool(devices())


def device_count():
    return len(devices())


def get_device_name(device=0):
    return devices()[device]
"""
_NEEDS_TORCH = """\
import torch

if not torch.__version__.startswith("2.5.1"):
    raise RuntimeError("{name} {version} was built for torch 2.5.1, not " + torch.__version__)
__version__ = "{version}"
"""

_TENSORFLOW = '''\
"""A stand-in for TensorFlow: no tensors, only what tells versions and GPUs."""
from . import config

__version__ = "2.16.1"
'''
_TENSORFLOW_CONFIG = """\
from collections import namedtuple

from ._visible import devices

PhysicalDevice = namedtuple("PhysicalDevice", "name device_type")


def list_physical_devices(device_type=None):
    found = [PhysicalDevice("/physical_device:CPU:0", "CPU")]
    found += [PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(len(devices()))]
    return [device for device in found if device_type in (None, device.device_type)]
"""


@dataclass(frozen=True)
class Wheel:
    """A pure Python distribution."""

    name: str
    version: str
    files: dict[str, str]
    requires: tuple[str, ...] = field(default=())

    def installed_files(self) -> dict[PurePosixPath, bytes]:
        """Path below the root of the file system -> content, with pip's own records."""
        info = f"{self.name}-{self.version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n"
        metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in self.requires)
        files = {path: text.encode() for path, text in self.files.items()}
        files[f"{info}/METADATA"] = metadata.encode()
        files[f"{info}/WHEEL"] = (
            b"Wheel-Version: 1.0\nGenerator: ds01-rig\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        files[f"{info}/INSTALLER"] = b"pip\n"
        files[f"{info}/top_level.txt"] = f"{self.name}\n".encode()
        record = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
        record.append(f"{info}/RECORD,,")
        files[f"{info}/RECORD"] = ("\n".join(record) + "\n").encode()
        return {SITE_PACKAGES / path: content for path, content in files.items()}


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _companion(name: str, version: str) -> Wheel:
    """A distribution that only works with the one torch it was built for."""
    return Wheel(
        name,
        version,
        {f"{name}/__init__.py": _NEEDS_TORCH.format(name=name, version=version)},
        requires=("torch==2.5.1",),
    )


PYTORCH = (
    Wheel(
        "torch",
        "2.5.1+cu121",
        {
            "torch/__init__.py": _TORCH,
            "torch/version.py": _TORCH_VERSION,
            "torch/_visible.py": _VISIBLE,
            "torch/cuda/__init__.py": _TORCH_CUDA,
        },
    ),
    _companion("torchvision", "0.20.1+cu121"),
    _companion("torchaudio", "2.5.1+cu121"),
)

TENSORFLOW = (
    Wheel(
        "tensorflow",
        "2.16.1",
        {
            "tensorflow/__init__.py": _TENSORFLOW,
            "tensorflow/_visible.py": _VISIBLE,
            "tensorflow/config.py": _TENSORFLOW_CONFIG,
        },
    ),
)
