"""`environment.yml`: conda's format, of which the pip part is taken."""

from __future__ import annotations

import re
import reprlib
from typing import Any

import yaml

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.image_sources.found import Found
from ds01_jupyter.core.requirements import parse_requirement

_CONDA = re.compile(
    r"(?:[\w.-]+::)?(?P<name>[A-Za-z0-9_][\w.-]*)\s*(?P<versions>[=<>!~][^ ]*)?(?:\s.*)?"
)
_NOT_ON_THE_INDEX = re.compile(
    r"cuda.*|cudnn|mkl(-service)?|(open)?blas|libblas|nodejs|g(xx|cc)_.*|compilers|pytorch-cuda"
    r"|cpuonly|conda|mamba|r-.*"
)
_OTHER_NAMES = {"pytorch": "torch", "pytorch-gpu": "torch", "opencv": "opencv-python-headless"}


def read_environment(text: str, found: Found) -> None:
    """Take the pip part of an environment; conda's packages are noted, with the name under which
    the Python index is likely to have them. Raises `InvalidInput` for what is not YAML."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise InvalidInput(
            f"The environment.yml is not YAML{where}.", hint="Correct it and try again."
        ) from None
    dependencies = content.get("dependencies") if isinstance(content, dict) else None
    if not isinstance(dependencies, list):
        raise InvalidInput(
            "The environment.yml has no list of dependencies.",
            hint="It is the file that `conda env export` writes.",
        )
    for entry in dependencies:
        if isinstance(entry, str):
            _conda(entry, found)
        elif isinstance(entry, dict) and set(entry) == {"pip"}:
            _pip(entry["pip"], found)
        else:
            found.note(
                reprlib.repr(entry), "Not taken: only packages and a pip part are understood."
            )


def _pip(entries: Any, found: Found) -> None:
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, str):
            found.note(reprlib.repr(entry), "Not taken: this is not a requirement.")
        elif entry.lstrip().startswith("-"):
            found.note(entry, "Not taken: this is an option of pip, not a package.")
        else:
            found.package(entry)


def _conda(entry: str, found: Found) -> None:
    match = _CONDA.fullmatch(entry.strip())
    name = match["name"].lower() if match else ""
    if name == "python":
        found.note(entry, "The framework's image decides which Python there is.")
    elif name == "pip":
        return
    elif _NOT_ON_THE_INDEX.fullmatch(name):
        found.note(entry, "Not taken: CUDA and its like come with the framework's image.")
    else:
        versions = match["versions"] if match else None
        found.note(
            entry,
            "Not taken: this is a package of conda, and images are made with pip.",
            suggestion=_on_the_index(_OTHER_NAMES.get(name, name), versions),
        )


def _on_the_index(name: str, versions: str | None) -> str | None:
    """conda's `numpy=1.26` is any 1.26 of the index, where a build string means nothing."""
    given = versions or ""
    if re.match(r"=[^=]", given):
        given = f"=={given[1:].partition('=')[0].removesuffix('*').removesuffix('.')}.*"
    try:
        return parse_requirement(f"{name}{given}")
    except InvalidInput:
        try:
            return parse_requirement(name)
        except InvalidInput:
            return None
