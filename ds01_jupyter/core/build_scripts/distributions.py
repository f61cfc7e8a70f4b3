"""Installed distributions, read from their own files: works from Python 3.6 on, with any tool."""
# mypy: ignore-errors

import os
import re
import sys

#: What a framework image must keep: the framework, its companions, and NVIDIA's libraries.
FAMILIES = re.compile(
    r"(torch|torchvision|torchaudio|torchtext|triton|pytorch-triton.*"
    r"|tensorflow.*|tf-.*|keras.*|jax.*|mxnet.*|tensorrt.*|nvidia-.*|cuda-.*)"
)


def normal(name):
    """The name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed():
    """Name -> (version, folder) of what this Python can import; the first on the path counts."""
    found = {}
    for place in sys.path:
        try:
            entries = sorted(os.listdir(place))
        except OSError:
            continue
        for entry in entries:
            if entry.endswith((".dist-info", ".egg-info")):
                name, version = _headers(os.path.join(place, entry))
                if name and version:
                    found.setdefault(normal(name), (version, os.path.join(place, entry)))
    return found


def _headers(folder):
    for path in (folder, os.path.join(folder, "METADATA"), os.path.join(folder, "PKG-INFO")):
        if os.path.isfile(path):
            break
    else:
        return None, None
    name = version = None
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.strip():
                break
            key, _, value = line.partition(":")
            if key.lower() == "name":
                name = value.strip()
            elif key.lower() == "version":
                version = value.strip()
    return name, version
