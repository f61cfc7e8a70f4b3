"""`pyproject.toml`: the dependencies of a project, by the standards (PEP 621 and 735)."""

from __future__ import annotations

import reprlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from packaging.utils import canonicalize_name

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.image_sources.found import Found
from ds01_jupyter.core.wording import did_you_mean


def read_pyproject(text: str, extras: Sequence[str], found: Found) -> None:
    """Take `project.dependencies`, and those of the `extras` (optional dependencies or dependency
    groups). Raises `InvalidInput` for what is not TOML, or has no such extra."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(
            f"The pyproject.toml cannot be read: {error}.", hint="Correct it and try again."
        ) from None
    project = _table(content, "project")
    for requirement in _texts(project.get("dependencies"), "project.dependencies", found):
        found.package(requirement)
    choices = _choices(content, project)
    for extra in extras:
        key = canonicalize_name(extra)
        if key not in choices:
            raise InvalidInput(
                f"The pyproject.toml has no extra or group {extra!r}.",
                hint=did_you_mean(extra, choices) or "It has none at all.",
                extra=extra,
                extras=sorted(choices),
            )
        _take(key, choices, found, ())
    left = [name for name in choices if name not in {canonicalize_name(e) for e in extras}]
    if left:
        found.note(
            ", ".join(left), "These optional dependencies are left out; name those that you want."
        )
    _word_on_the_rest(content, project, found)


def _choices(content: Mapping[str, Any], project: Mapping[str, Any]) -> dict[str, Any]:
    groups = _table(content, "dependency-groups")
    optional = _table(project, "optional-dependencies")
    return {canonicalize_name(name): value for name, value in (optional | groups).items()}


def _take(key: str, choices: Mapping[str, Any], found: Found, within: tuple[str, ...]) -> None:
    entries = choices[key]
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, str):
            found.package(entry)
            continue
        other = entry.get("include-group") if isinstance(entry, dict) else None
        name = canonicalize_name(other) if isinstance(other, str) else ""
        if name not in choices:
            found.note(reprlib.repr(entry), "Not taken: this is not a requirement.")
        elif name in (*within, key):
            found.note(reprlib.repr(entry), "Not taken: the groups include each other.")
        else:
            _take(name, choices, found, (*within, key))


def _word_on_the_rest(content: Mapping[str, Any], project: Mapping[str, Any], found: Found) -> None:
    python = project.get("requires-python")
    if isinstance(python, str):
        found.note(
            f"requires-python {python}", "The framework's image decides which Python there is."
        )
    if "dependencies" in (project.get("dynamic") or []):
        found.note(
            "dynamic dependencies",
            "Not taken: only building the project tells them; import the file they come from.",
        )
    poetry = _table(_table(content, "tool"), "poetry")
    if poetry.get("dependencies") and not project.get("dependencies"):
        found.note(
            "tool.poetry.dependencies",
            "Not taken: this table is Poetry's own; `poetry export` writes a requirements.txt.",
        )
    if _table(_table(content, "tool"), "uv").get("sources"):
        found.note("tool.uv.sources", "Not taken: packages come from the index that is set here.")


def _texts(value: Any, where: str, found: Found) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, list):
        found.note(where, "Not taken: this must be a list.")
        return
    for entry in value:
        if isinstance(entry, str):
            yield entry
        else:
            found.note(reprlib.repr(entry), "Not taken: this is not a requirement.")


def _table(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
