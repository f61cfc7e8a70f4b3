"""Which images a Dockerfile may build on or copy from, where the admin allows only some.

It has to hold for Dockerfiles that people wrote, so it must see every image that a builder would
see. Lines are joined as Docker joins them. Where a text could be read in two ways (here-documents,
another escape character), every line counts as one that may begin an instruction, and stages cannot
be copied from by name: what is in doubt is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase

from ds01_jupyter.core.errors import Forbidden
from ds01_jupyter.core.names import split_reference

_WORD = re.compile(
    r"\s*(?:ONBUILD\s+)*(?P<word>[A-Za-z]+)\s+(?P<rest>.+)", re.DOTALL | re.IGNORECASE
)
_ARG = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>\S*)")
_USE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)\}|(?P<plain>[A-Za-z_]\w*))")
_COPY_FROM = re.compile(r"--from=(?P<image>\S+)", re.IGNORECASE)
_MOUNT = re.compile(r"--mount=(?P<options>\S+)", re.IGNORECASE)
_SYNTAX = re.compile(r"^\s*(?:#|//)\s*syntax\s*=\s*(?P<image>\S+)", re.IGNORECASE | re.MULTILINE)
_ESCAPE = re.compile(r"^\s*#\s*escape\s*=", re.IGNORECASE | re.MULTILINE)
_STAGE = re.compile(r"[a-z][a-z0-9_.\-]*")


def images_of(text: str) -> set[str]:
    """Every image that building a Dockerfile may fetch, as it is written there; one that cannot be
    told stands there with its `$`. Stages of the file itself and `scratch` are none."""
    odd = "<<" in text or _ESCAPE.search(text) is not None or "\r" in text.replace("\r\n", "\n")
    found = {match["image"] for match in _SYNTAX.finditer(text)}
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        found.add("$syntax")  # a directive may also be JSON
    defaults: dict[str, str] = {}
    stages: list[str] = []
    for line in _instructions(text, odd=odd):
        match = _WORD.fullmatch(line)
        if match is None:
            continue
        word, rest = match["word"].upper(), match["rest"]
        if word == "ARG" and not stages:
            defaults.update({m["name"]: m["value"].strip("\"'") for m in _ARG.finditer(rest)})
        elif word == "FROM":
            image, stage = _from(rest)
            if image is None:
                continue
            image = _USE.sub(lambda m: defaults.get(m["braced"] or m["plain"], m[0]), image)
            if image.lower() != "scratch" and (odd or image.lower() not in stages):
                found.add(image)
            stages.append(stage)
        elif word in ("COPY", "ADD", "RUN"):
            for image in _named(rest):
                known = not odd and (image.lower() in stages or image.isdigit())
                if not known and image.lower() != "scratch":
                    found.add(image)
    return found


def refuse_others(text: str, allowed: Sequence[str], ours: Collection[str]) -> None:
    """Raise `Forbidden` when a Dockerfile needs an image that neither `ours` has nor a pattern of
    `allowed` fits. Without patterns every image is allowed."""
    if not allowed:
        return
    known = {_full(image) for image in ours}
    patterns = [_full(pattern) for pattern in allowed]
    refused = sorted(
        image
        for image in images_of(text)
        if "$" in image or not _fits(_full(image), known, patterns)
    )
    if refused:
        raise Forbidden(
            f"The Dockerfile uses {', '.join(refused)}, which cannot be used on this machine.",
            hint=f"Besides the images of the catalogue it may use {', '.join(allowed)}.",
            images=refused,
            allowed=list(allowed),
        )


def _fits(image: str, known: set[str], patterns: Sequence[str]) -> bool:
    name = _untagged(image)
    if image in known:
        return True
    return any(fnmatchcase(image, one) or fnmatchcase(name, one) for one in patterns)


def _full(image: str) -> str:
    """With its registry, as Docker completes it, and a tag `latest` left out."""
    image = image.strip().strip("\"'")
    first, slash, _ = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif not ("." in first or ":" in first or first == "localhost" or "*" in first):
        image = f"docker.io/{image}"
    image = re.sub(r"^(?:registry-1\.|index\.)?docker\.io/(?=[^/]+$)", "docker.io/library/", image)
    image = re.sub(r"^(?:registry-1|index)\.docker\.io/", "docker.io/", image)
    return image.removesuffix(":latest")


def _untagged(image: str) -> str:
    parts = split_reference(image)
    return image if parts is None else parts[0]


def _from(rest: str) -> tuple[str | None, str]:
    """Image and stage of a FROM; no image when Docker would not take it for one."""
    words = [word for word in rest.split() if not word.startswith("--")]
    if len(words) == 1:
        return words[0], ""
    if len(words) == 3 and words[1].upper() == "AS":
        name = words[2].lower()
        return words[0], name if _STAGE.fullmatch(name) else ""
    return None, ""


def _named(rest: str) -> Iterator[str]:
    for match in _COPY_FROM.finditer(rest):
        yield match["image"].strip("\"'")
    for match in _MOUNT.finditer(rest):
        for option in match["options"].strip("\"'").split(","):
            key, _, value = option.strip("\"'").partition("=")
            if key.lower() == "from":
                yield value.strip("\"'")


def _instructions(text: str, *, odd: bool) -> Iterator[str]:
    """The logical lines; of an odd text, one from every physical line on, for both escapes."""
    lines = text.lstrip("\ufeff").splitlines()
    if not odd:
        at = 0
        while at < len(lines):
            line, at = _joined(lines, at, "\\")
            yield line
        return
    for escape in "\\`":
        for at in range(len(lines)):
            yield _joined(lines, at, escape)[0]


def _joined(lines: Sequence[str], at: int, escape: str) -> tuple[str, int]:
    """The logical line from a physical one on, and where the next begins: a line that ends with the
    escape goes on, and comments and empty lines in between do not count."""
    joined = ""
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.lstrip().startswith("#") or (joined and not line.strip()):
            if not joined:
                return "", at
            continue
        stripped = line.rstrip(" \t")
        if not stripped.endswith(escape):
            return joined + line, at
        joined += stripped[:-1]
        if not joined:
            joined = " "
    return joined, at
