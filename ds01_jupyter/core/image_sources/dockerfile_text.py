"""An existing Dockerfile as a start: its base, and the packages that its RUN lines install."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped]

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.image_sources.found import Found

_ENDS = frozenset({"&&", "||", ";", "|", "&"})
_PIP = re.compile(r"(?:.*/)?pip(?:3(?:\.\d+)?)?")
_PYTHON = re.compile(r"(?:.*/)?python(?:3(?:\.\d+)?)?")
_APT = frozenset({"apt-get", "apt", "aptitude"})
_WITH_VALUE = frozenset(
    {"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target", "--root"}
    | {"-o", "--option", "--default-timeout", "--timeout", "--retries", "--prefix", "--python"}
)
_FILES = frozenset({"-r", "--requirement", "-c", "--constraint", "-e", "--editable"})
_HARMLESS = ("apt-get update", "apt-get clean", "apt update", "apt clean", "rm -rf /var/lib/apt")
_OURS = frozenset(
    {"WORKDIR", "CMD", "USER", "LABEL", "MAINTAINER", "SHELL", "STOPSIGNAL", "EXPOSE"}
)

Framework = Callable[[str], tuple[str, str] | None]
"""Framework and version of an image's reference, None where the catalogue does not have it."""


def read_dockerfile(text: str, framework: Framework, found: Found) -> tuple[str, str] | None:
    """Take the packages that a Dockerfile installs; everything else is noted with its line.

    Returns framework and version of its base. Raises `InvalidInput` for what is no Dockerfile.
    """
    base: tuple[str, str] | None = None
    stages = 0
    for number, instruction, value in _instructions(text):
        if instruction == "FROM":
            stages += 1
            reference = _reference(value)
            base = framework(reference)
            if base is None:
                found.note(
                    f"FROM {value}",
                    "This image is not in the catalogue; choose the framework nearest to it.",
                    number,
                )
        elif instruction == "RUN":
            _run(value, number, found)
        elif instruction not in _OURS:
            found.note(f"{instruction} {value}", _why(instruction), number)
    if not stages:
        raise InvalidInput("The Dockerfile has no FROM.", hint="It must name its base image.")
    if stages > 1:
        found.note(f"{stages} stages", "Only the packages are taken, from all of them together.")
    return base


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    parser = DockerfileParser(fileobj=BytesIO(text.encode()))
    for entry in parser.structure:
        if entry["instruction"] != "COMMENT":
            yield entry["startline"] + 1, entry["instruction"], entry["value"]


def _reference(value: str) -> str:
    words = [word for word in value.split() if not word.startswith("--")]
    return words[0] if words else ""


def _run(value: str, number: int, found: Found) -> None:
    if value.lstrip().startswith("--mount") or "<<" in value:
        found.note(
            f"RUN {value}", "Not taken: mounts and here-documents are not understood.", number
        )
        return
    for command in _commands(value):
        shown = shlex.join(command)
        packages = _installed(command)
        if packages is None:
            if not " ".join(command).startswith(_HARMLESS):
                found.note(shown, "Not taken: this is not the installing of a package.", number)
            continue
        kind, names = packages
        for name in names:
            if kind == "apt":
                found.debian(name, number)
            elif name in _FILES:
                found.note(shown, "A file that it names is not taken; import that one too.", number)
            else:
                found.package(name, number)


def _commands(value: str) -> list[list[str]]:
    """The commands of a RUN, as words. What cannot be split is one command of one word."""
    lexer = shlex.shlex(value, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return [[value]]
    commands: list[list[str]] = [[]]
    for word in words:
        if word in _ENDS:
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def _installed(command: Sequence[str]) -> tuple[str, list[str]] | None:
    """("pip" or "apt", the packages) of an installing command; None for any other."""
    words = [word for word in command if "=" not in word or not word.split("=")[0].isupper()]
    if words[:1] == ["sudo"]:
        words = words[1:]
    if len(words) > 2 and _PYTHON.fullmatch(words[0]) and words[1:3] == ["-m", "pip"]:
        words = words[2:]
    if words[:2] == ["uv", "pip"]:
        words = words[1:]
    if not words:
        return None
    if words[0] in _APT and "install" in words:
        return "apt", _arguments(words[words.index("install") + 1 :])
    if _PIP.fullmatch(words[0]) and "install" in words[1:]:
        return "pip", _arguments(words[words.index("install") + 1 :])
    return None


def _arguments(words: Sequence[str]) -> list[str]:
    """The packages among the words after `install`; an option with a file stands for itself."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _FILES:
            kept.append(word)
            skip = True
        elif word in _WITH_VALUE:
            skip = True
        elif not word.startswith("-"):
            kept.append(word)
    return kept


def _why(instruction: str) -> str:
    if instruction in ("COPY", "ADD"):
        return "Not taken: files of yours are in the container's workspace, not in its image."
    if instruction in ("ENV", "ARG"):
        return "Not taken: set it in the container, or add it to the Dockerfile by hand."
    if instruction == "ENTRYPOINT":
        return "Not taken: AIME's commands start the container with a shell."
    return "Not taken: it can be added to the Dockerfile by hand."
