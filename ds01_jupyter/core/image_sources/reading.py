"""Which format a file has, and what an image gets from it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.image_sources.dockerfile_text import Framework, read_dockerfile
from ds01_jupyter.core.image_sources.documents import ImageImport, ImportRequest
from ds01_jupyter.core.image_sources.environment_text import read_environment
from ds01_jupyter.core.image_sources.found import Found
from ds01_jupyter.core.image_sources.pyproject_text import read_pyproject
from ds01_jupyter.core.image_sources.requirements_text import read_requirements
from ds01_jupyter.core.wording import quoted

Source = Literal["requirements", "pyproject", "environment", "dockerfile"]


def read_source(request: ImportRequest, framework: Framework) -> ImageImport:
    """The packages of a file, and notes on what was not taken.

    `framework` tells which one an image of the catalogue has. Raises `InvalidInput` for a file
    whose name or content is none of the formats.
    """
    source, found, base = source_of(request.filename), Found(), None
    if source == "requirements":
        read_requirements(request.text, found)
    elif source == "pyproject":
        read_pyproject(request.text, request.extras, found)
    elif source == "environment":
        read_environment(request.text, found)
    else:
        base = read_dockerfile(request.text, framework, found)
    return ImageImport(
        source=source,
        pip=found.pip,
        apt=found.apt,
        framework=base[0] if base else None,
        version=base[1] if base else None,
        notes=found.notes,
    )


def source_of(filename: str) -> Source:
    """The format that a file's name stands for; `InvalidInput` with the names that are known."""
    name = PurePosixPath(filename.replace("\\", "/")).name.lower()
    if name == "pyproject.toml":
        return "pyproject"
    if re.fullmatch(r"(?:.*\.)?dockerfile(?:\..*)?|containerfile", name):
        return "dockerfile"
    if name.endswith((".yml", ".yaml")):
        return "environment"
    if name.endswith((".txt", ".in", ".pip")):
        return "requirements"
    raise InvalidInput(
        f"{quoted(filename)} is none of the files that packages can be taken from.",
        hint="Give a requirements.txt, a pyproject.toml, an environment.yml or a Dockerfile.",
        filename=filename[:200],
    )
