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


def unmet(packages):
    """Sentences about what distributions need and do not find among `packages`, which are as
    `installed` gives them; None where this Python cannot read requirements."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        try:
            from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
        except ImportError:
            return None
    found = set()
    for name, (version, folder) in packages.items():
        for text in headers(folder).get("requires-dist", ()):
            try:
                need = Requirement(text)
            except InvalidRequirement:
                continue  # of a time before the rules; pip could not follow it either
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            there = packages.get(normal(need.name), (None,))[0]
            wants = "{} {} needs {}{}".format(name, version, need.name, need.specifier)
            if there is None:
                found.add(wants + ", which is not there")
            elif not need.specifier.contains(there, prereleases=True):
                found.add("{}, and {} is there".format(wants, there))
    return found


def _headers(folder):
    fields = headers(folder)
    return fields.get("name", [None])[0], fields.get("version", [None])[0]


def headers(folder):
    """Field in lowercase -> its values, of the metadata in a folder or file; empty without one."""
    for path in (folder, os.path.join(folder, "METADATA"), os.path.join(folder, "PKG-INFO")):
        if os.path.isfile(path):
            break
    else:
        return {}
    fields = {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.strip():
                break
            key, colon, value = line.partition(":")
            if colon and not key[:1].isspace():
                fields.setdefault(key.lower(), []).append(value.strip())
    return fields
