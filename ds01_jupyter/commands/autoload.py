"""`autoload on|off`: have `%ds01` in every notebook of this person.

IPython reads `ipython_kernel_config.json` of its profile. `extra_extensions` is used, since it
adds to the `extensions` of other files where `extensions` would replace them.
"""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context
from ds01_jupyter.render import Note, View

SECTION, KEY, MODULE = "IPKernelApp", "extra_extensions", "ds01_jupyter"


def switch(context: Context, arguments: Namespace) -> View:
    """`autoload [on|off]`."""
    path = config_path()
    if arguments.state is not None:
        write(path, on=arguments.state == "on")
    active = MODULE in _extensions(read(path), path)
    if active:
        text = "%ds01 is there in every new notebook."
    else:
        text = f"%ds01 needs `%load_ext {MODULE}` first; {context.command('autoload on')} does it."
    data = {"autoload": active, "file": str(path)}
    return View(Note(text, "good" if active else ""), Note(str(path), "dim"), data=data)


def config_path() -> Path:
    """The file of the person's default IPython profile."""
    from IPython.paths import get_ipython_dir

    return Path(get_ipython_dir()) / "profile_default" / "ipython_kernel_config.json"


def read(path: Path) -> dict[str, Any]:
    """The configuration; {} where there is no file. Raises `ClientError` if it is not JSON."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _broken(path, str(error)) from error
    if not isinstance(document, dict):
        raise _broken(path, "it is not a JSON object")
    return document


def write(path: Path, *, on: bool) -> None:
    """Add or take away our module, and leave everything else in the file as it is."""
    document = read(path)
    others = [name for name in _extensions(document, path) if name != MODULE]
    names = [*others, MODULE] if on else others
    section = document.setdefault(SECTION, {})
    if names:
        section[KEY] = names
    else:
        section.pop(KEY, None)
    if not section:
        del document[SECTION]
    if not document and not path.exists():
        return
    _replace(path, json.dumps(document, indent=2) + "\n")


def _extensions(document: dict[str, Any], path: Path) -> list[str]:
    section = document.get(SECTION, {})
    if not isinstance(section, dict):
        raise _broken(path, f"{SECTION} is not an object")
    names = section.get(KEY, [])
    if not isinstance(names, list):
        raise _broken(path, f"{SECTION}.{KEY} is not a list")
    return names


def _replace(path: Path, text: str) -> None:
    """Write the whole file or nothing; a link to it stays a link."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        with tempfile.NamedTemporaryFile(
            "w", dir=target.parent, prefix=".ds01-", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        whole = Path(file.name)
        whole.chmod(mode)
        whole.replace(target)
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error}.", code="not_written") from error


def _broken(path: Path, why: str) -> ClientError:
    return ClientError(
        f"{path} cannot be read: {why}.",
        hint="Mend or remove the file; nothing was changed.",
        code="invalid_input",
    )
