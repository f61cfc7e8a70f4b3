"""Stand-ins for AIME's base images: a small Debian with Python and tiny framework packages.

AIME's own images have many gigabytes. The stand-ins bear their tags and the properties a build
must cope with: a system-wide framework that pip would love to replace, Debian's mark against
system-wide installs (PEP 668), and NVIDIA_VISIBLE_DEVICES=all in the image's environment.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from . import engine_api, wheels
from .paths import RigPaths
from .processes import RigError, file_lock, system_environment

PYTORCH_TAG = "aimehub/pytorch-2.5.1-aime-cuda12.1.1"
TENSORFLOW_TAG = "aimehub/tensorflow-2.16.1-cuda12.3"
FRAMEWORKS = {PYTORCH_TAG: wheels.PYTORCH, TENSORFLOW_TAG: wheels.TENSORFLOW}

#: Raise this when a change of the code below changes what comes out of it.
RECIPE = 1
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "git", "procps", "python3", "python3-pip", "python3-venv", "sudo")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
    "NVIDIA_VISIBLE_DEVICES=all",
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    # The machine's own certificates count inside builds too. pip and uv bring their own unless
    # told; REQUESTS_CA_BUNDLE alone would override PIP_CERT, so both are set.
    f"SSL_CERT_FILE={CA_BUNDLE}",
    f"PIP_CERT={CA_BUNDLE}",
    f"REQUESTS_CA_BUNDLE={CA_BUNDLE}",
)
#: Contents of these directories are of no use in an image.
DROPPED = (
    *("proc", "sys", "dev", "run", "tmp", "var/log", "var/lib/apt/lists", "var/cache/apt"),
    *("var/cache/debconf", "usr/share/doc", "usr/share/man", "usr/share/locale"),
)


def ensure_images(paths: RigPaths) -> bool:
    """Have every stand-in in the engine; make and load only what is not there.

    Returns whether anything had to be loaded. Raises RigError when debootstrap is missing or fails
    (it needs a Debian mirror), or when the engine refuses the archive.
    """
    with file_lock(paths.root / "images.lock"):
        archive = paths.cache / f"aime-base-{_key()}.tar"
        if not archive.exists():
            _make_archive(paths, archive)
        wanted = _configurations(archive)
        if all(_has_image(paths, tag, config) for tag, config in wanted.items()):
            return False
        with archive.open("rb") as handle:
            engine_api.load_images(paths.socket, handle)
        return True


def _configurations(archive: Path) -> dict[str, dict[str, Any]]:
    """Tag -> configuration of each image in the archive."""
    with tarfile.open(archive) as tar:
        return {
            tag: _read_json(tar, image["Config"])
            for image in _read_json(tar, "manifest.json")
            for tag in image["RepoTags"]
        }


def _read_json(tar: tarfile.TarFile, name: str) -> Any:
    handle = tar.extractfile(name)
    assert handle is not None  # a directory or a link has this name
    with handle:
        return json.load(handle)


def _has_image(paths: RigPaths, tag: str, config: dict[str, Any]) -> bool:
    """Is the image there, and made of just this? (Its id depends on the engine's kind of store.)"""
    if not engine_api.has_image(paths.socket, tag):
        return False
    image = engine_api.get(paths.socket, f"/images/{quote(tag)}/json")
    same_layers = image["RootFS"]["Layers"] == config["rootfs"]["diff_ids"]
    return bool(same_layers and image["Config"]["Env"] == config["config"]["Env"])


def _key() -> str:
    """Changes with everything that goes into the images, but not with the code around it."""
    recipe = (RECIPE, SUITE, PACKAGES, ENVIRONMENT, DROPPED, FRAMEWORKS, _date_checks())
    digest = hashlib.sha256(repr(recipe).encode())
    digest.update(_ca_bundle())
    return digest.hexdigest()[:16]


def _ca_bundle() -> bytes:
    return CA_BUNDLE.read_bytes() if CA_BUNDLE.exists() else b""


def _apt_output(*command: str) -> str:
    """What an apt tool prints; nothing where there is no apt."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def _date_checks() -> str:
    """The machine's apt settings about dates of indexes (a frozen mirror needs them off)."""
    wanted = re.compile(r'^Acquire::Check-(?:Valid-Until|Date) ".*";$', re.MULTILINE)
    return "".join(f"{line}\n" for line in wanted.findall(_apt_output("apt-config", "dump")))


def _mirror() -> list[str]:
    """The Debian mirror this machine uses, or nothing, for debootstrap's own default."""
    form = "$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)"
    listing = _apt_output("apt-get", "indextargets", "Created-By: Packages", "--format", form)
    for line in listing.splitlines():
        if line.startswith("Debian Debian main "):
            return [line.split()[3]]
    return []


# ---- making the archive ----


def _make_archive(paths: RigPaths, archive: Path) -> None:
    """Write an archive in the format of `docker save`: one Debian layer shared by all images, and
    a small framework layer each.
    """
    work = paths.cache / f"making-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        root = work / "root"
        _debootstrap(root)
        _add_host_settings(root)
        _pack(root, work / "debian.tar")
        layers = {tag: work / f"framework{n}.tar" for n, tag in enumerate(FRAMEWORKS)}
        for tag, layer in layers.items():
            _pack_wheels(FRAMEWORKS[tag], layer)
        partial = work / "archive.tar"
        _write_archive(partial, work / "debian.tar", layers)
        for old in paths.cache.glob("aime-base-*"):
            old.unlink()  # of another recipe
        partial.replace(archive)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _debootstrap(root: Path) -> None:
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        SUITE,
        str(root),
        *_mirror(),
    ]
    try:
        result = subprocess.run(command, capture_output=True, text=True, env=system_environment())
    except FileNotFoundError:
        raise RigError("debootstrap is missing: apt-get install debootstrap") from None
    if result.returncode:
        raise RigError(f"debootstrap failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")


def _add_host_settings(root: Path) -> None:
    bundle = _ca_bundle()
    if bundle:
        (root / str(CA_BUNDLE).lstrip("/")).write_bytes(bundle)
    settings = _date_checks()
    if settings:
        (root / "etc/apt/apt.conf.d/99host-dates").write_text(settings)
    # debootstrap copies the machine's own name servers; the engine mounts the right ones.
    for name in ("etc/resolv.conf", "etc/hostname"):
        (root / name).unlink(missing_ok=True)


def _pack(root: Path, layer: Path) -> None:
    excluded = [f"--exclude=./{directory}/*" for directory in DROPPED]
    command = ["tar", "--create", "--numeric-owner", "--sort=name", "--xattrs"]
    command += [*excluded, "--file", str(layer), "--directory", str(root), "."]
    subprocess.run(command, check=True)


def _pack_wheels(packages: Iterable[wheels.Wheel], layer: Path) -> None:
    contents: dict[PurePosixPath, bytes] = {}
    for package in packages:
        contents |= package.installed_files()
    directories = sorted({parent for path in contents for parent in path.parents if parent.name})
    with tarfile.open(layer, "w") as tar:
        for directory in directories:
            entry = tarfile.TarInfo(str(directory))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, content in sorted(contents.items()):
            entry = tarfile.TarInfo(str(path))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _write_archive(target: Path, debian: Path, layers: dict[str, Path]) -> None:
    manifest = []
    with tarfile.open(target, "w") as tar:
        tar.add(debian, "debian.tar")
        for tag, layer in layers.items():
            tar.add(layer, layer.name)
            config = json.dumps(_image_config([debian, layer])).encode()
            digest = hashlib.sha256(config).hexdigest()
            _add_bytes(tar, f"{digest}.json", config)
            manifest.append(
                {
                    "Config": f"{digest}.json",
                    "RepoTags": [f"{tag}:latest"],
                    "Layers": ["debian.tar", layer.name],
                }
            )
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _image_config(layers: list[Path]) -> dict[str, object]:
    machine = os.uname().machine
    digests = []
    for layer in layers:
        with layer.open("rb") as handle:
            digests.append(f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}")
    return {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        "os": "linux",
        "created": "2024-12-01T00:00:00Z",
        "config": {"Env": list(ENVIRONMENT), "Cmd": ["bash"]},
        "rootfs": {"type": "layers", "diff_ids": digests},
        "history": [
            {"created": "2024-12-01T00:00:00Z", "created_by": name}
            for name in ("debootstrap", "framework")
        ],
    }
