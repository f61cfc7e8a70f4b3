"""The Dockerfile of an image and the files of its build context, from one template.

No text of a person stands in an instruction: packages, names and accounts are in files, comments
hold checked text only. A step that would do nothing is left out.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

import jinja2

from ds01_jupyter.core import account
from ds01_jupyter.core.build_site import NO_SITE, SITE_FILE
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.image_builds import sections
from ds01_jupyter.core.packages import CUSTOM, PackageLayer, PackageSelection
from ds01_jupyter.core.resolve.lock import UNLOCKED, Lock

DOCKERFILE = "Dockerfile"
SCRIPTS = (
    "distributions.py",
    "mirrors.py",
    "freeze.py",
    "resolve.py",
    "install.py",
    "apt.py",
    "check.py",
    "kernel.py",
    account.SCRIPT,
)
APT_FILE = "apt-packages.txt"
KERNEL_FILE = "kernel.json"
LOCK_FILE = "lock.json"
SHARED_CACHE = "ds01-uv"
SETTINGS = "Settings of the image"
SITE = "Where packages come from"
_COMMENT_WIDTH = 96
_SEAL = "# By this one sees whether somebody changed the file: "

# Not HTML, so nothing to escape; what goes in is checked by those who make it.
_TEMPLATES = jinja2.Environment(  # noqa: S701
    loader=jinja2.PackageLoader("ds01_jupyter.core", "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True)
class ImageSpec:
    """All that a Dockerfile is made from."""

    image: str
    """Checked name of the image."""
    reference: str
    framework: str
    version: str
    base_image: str
    selection: PackageSelection
    person: Person
    path: Path
    """Where the Dockerfile will lie, and `context` beside it."""
    context: Path
    uv_image: str | None
    """Image that lends uv to BuildKit's steps; None: the classic builder, with pip."""
    site: str = NO_SITE
    """The lab's mirrors and certificates for the steps that install; see `build_site`."""


@dataclass(frozen=True)
class BuildContext:
    """A Dockerfile with the files of its context: name -> text."""

    dockerfile: str
    files: Mapping[str, str]
    titles: Mapping[str, str]
    """Part of an instruction -> what it does, in plain words."""
    base_image: str

    @property
    def sha256(self) -> str:
        """Of the Dockerfile alone: by it an edit by hand is noticed."""
        return digest(self.dockerfile)


def build_files(files: Mapping[str, str], dockerfile: str) -> dict[str, bytes]:
    """What the engine is sent: the files of the context and the Dockerfile among them."""
    return {name: text.encode() for name, text in (*files.items(), (DOCKERFILE, dockerfile))}


def digest(text: str) -> str:
    """SHA-256 of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def seal(text: str) -> str:
    """The text with its own checksum as its last line."""
    return f"{text.rstrip()}\n\n{_SEAL}{digest(text.rstrip())}\n"


def is_sealed(text: str) -> bool:
    """Whether a file is as we wrote it, whatever the ledger remembers of it."""
    body, mark, checksum = text.rpartition(_SEAL)
    return bool(mark) and checksum.strip() == digest(body.rstrip())


def script(name: str) -> str:
    """A script that runs inside the image while it is built."""
    return (package_files("ds01_jupyter.core") / "build_scripts" / name).read_text("utf-8")


def render(spec: ImageSpec) -> BuildContext:
    """The Dockerfile and its context for a specification; raises `InvalidInput` for an account
    name that no image can have."""
    layers = spec.selection.layers
    shared = [layer for layer in layers if layer.key != CUSTOM]
    own = [layer for layer in layers if layer.key == CUSTOM]
    with_account = account.needs_account(spec.person)
    dockerfile = _TEMPLATES.get_template("Dockerfile.j2").render(
        image=spec.image,
        framework=f"{spec.framework} {spec.version}",
        by_hand=_by_hand(spec),
        base_image=spec.base_image,
        scripts=SCRIPTS,
        site=SITE_FILE,
        uv_image=spec.uv_image,
        tiers=[_step(layer, layers, spec) for layer in shared],
        apt=_apt_step(spec.selection.apt),
        lock=LOCK_FILE,
        begin={name: sections.BEGIN.format(name=name) for name in sections.NAMES},
        finish={name: sections.END.format(name=name) for name in sections.NAMES},
        own=_step(own[0], layers, spec) if own else None,
        account=with_account,
    )
    files = {name: script(name) for name in SCRIPTS}
    files |= {_file(layer): _requirements(layer) for layer in layers}
    files |= lock_files(layers, None)
    files[SITE_FILE] = spec.site
    if spec.selection.apt:
        files[APT_FILE] = _lines("Debian packages", spec.selection.apt)
    kernel = {"display_name": f"{spec.image} ({spec.framework} {spec.version})"}
    files[KERNEL_FILE] = json.dumps(kernel, ensure_ascii=False) + "\n"
    if with_account:
        files[account.FILE] = account.account_file(spec.person)
    return BuildContext(seal(dockerfile), files, _titles(layers, spec), spec.base_image)


def render_resolve(
    base_image: str, uv_image: str, question: Mapping[str, object], site: str = NO_SITE
) -> dict[str, bytes]:
    """The context of a build that only resolves: its first steps are those of the real one."""
    dockerfile = _TEMPLATES.get_template("resolve.j2").render(
        base_image=base_image,
        scripts=SCRIPTS,
        site=SITE_FILE,
        uv_image=uv_image,
        cache=SHARED_CACHE,
    )
    files = {name: script(name) for name in SCRIPTS}
    files |= {"resolve.json": json.dumps(question), SITE_FILE: site}
    return build_files(files, dockerfile)


def _file(layer: PackageLayer) -> str:
    return f"tier-{layer.key}.txt"


def _lock(layer: PackageLayer) -> str:
    return f"tier-{layer.key}.lock"


def lock_files(layers: Sequence[PackageLayer], lock: Lock | None) -> dict[str, str]:
    """The files of the context that hold exact versions; without a lock they say that there is
    none."""
    files = {_lock(layer): lock.file(layer.key) if lock else UNLOCKED for layer in layers}
    return {**files, LOCK_FILE: lock.text() if lock else "{}\n"}


def _requirements(layer: PackageLayer) -> str:
    return _lines(layer.title, layer.requirements)


def _lines(title: str, entries: Sequence[str]) -> str:
    return "\n".join([f"# {_one_line(title)}", *entries]) + "\n"


def _step(
    layer: PackageLayer, layers: Sequence[PackageLayer], spec: ImageSpec
) -> dict[str, object]:
    """A tier's step. Files of the tiers before it are named too: all must fit together."""
    earlier = layers[: layers.index(layer)]
    own = layer.key == CUSTOM
    # Wheels only, but for what a person asked for: the shared tiers run nobody's build scripts,
    # which is why people may share their cache of packages.
    options = [] if own else ["--wheels-only"]
    paths = [f"/opt/ds01/{_file(one)}" for one in (*earlier, layer)]
    cache = f"{SHARED_CACHE}-{spec.person.uid}" if own else SHARED_CACHE
    return {
        "about": _wrapped([f"{layer.title}. {layer.why}"]),
        "packages": _wrapped(layer.requirements),
        "file": _file(layer),
        "lock": _lock(layer),
        "cache": cache if spec.uv_image else None,
        "command": json.dumps(["python3", "-B", "/opt/ds01/install.py", *options, *paths]),
    }


def _apt_step(names: Sequence[str]) -> dict[str, object] | None:
    if not names:
        return None
    command = ["python3", "-B", "/opt/ds01/apt.py", f"/opt/ds01/{APT_FILE}"]
    return {"packages": _wrapped(names), "file": APT_FILE, "command": json.dumps(command)}


def _titles(layers: Sequence[PackageLayer], spec: ImageSpec) -> dict[str, str]:
    """Latest first: the step of a tier also names the files of the tiers before it."""
    titles = {
        "FROM ": f"Base image {spec.base_image}",
        f"COPY {SCRIPTS[0]}": "The scripts of the build",
        "freeze.py": f"Versions of {spec.framework}",
        LOCK_FILE: "The exact versions",
        "check.py": f"Check that {spec.framework} is as it was",
        "kernel.": "Notebook kernel",
        "account.": account.TITLE,
        "LABEL ": "Labels",
    }
    if spec.selection.apt:
        titles[APT_FILE] = "Debian packages"
    for layer in reversed(layers):
        titles[_file(layer)] = _one_line(layer.title)
    settings = dict.fromkeys(("USER ", "ENV ", "WORKDIR ", "CMD "), SETTINGS)
    return titles | settings | {SITE_FILE: SITE}


def _by_hand(spec: ImageSpec) -> str:
    command = ["docker", "build", "-t", spec.reference, "-f", str(spec.path), str(spec.context)]
    prefix = "DOCKER_BUILDKIT=1 " if spec.uv_image else ""
    return _one_line(prefix + shlex.join(command))


def _wrapped(entries: Sequence[str]) -> list[str]:
    return textwrap.wrap(
        _one_line(", ".join(entries)),
        _COMMENT_WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _one_line(text: str) -> str:
    """Text for a comment: no character that could end its line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
