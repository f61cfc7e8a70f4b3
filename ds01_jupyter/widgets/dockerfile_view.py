"""A Dockerfile to read: its steps stand out, nothing in it is trusted."""

from __future__ import annotations

import re

from ds01_jupyter.core.models import DockerfilePreview
from ds01_jupyter.widgets.markup import code, escape

_INSTRUCTION = re.compile(r"^(\s*)([A-Z]+)(\s)")
_STATES = {
    "new": ("New", "It is stored at {path} with the build."),
    "same": ("Unchanged", "The one at {path} is the same."),
    "changed": ("Changed", "It takes the place of the older one at {path}."),
    "edited": ("Edited by hand", "The one at {path} was edited by hand."),
}


def dockerfile_html(text: str) -> str:
    """The Dockerfile with instructions and comments in colours of the theme."""
    lines = [_line(line) for line in text.splitlines()]
    body = "\n".join(lines)
    return f"<pre class='ds01-dockerfile' tabindex='0' aria-label='Dockerfile'>{body}</pre>"


def _line(line: str) -> str:
    if line.lstrip().startswith("#"):
        return f"<span class='ds01-comment'>{escape(line)}</span>"
    match = _INSTRUCTION.match(line)
    if match is None:
        return escape(line)
    blank, word, space = match.groups()
    rest = escape(line[match.end() :])
    return f"{blank}<span class='ds01-instruction'>{escape(word)}</span>{space}{rest}"


def state_html(preview: DockerfilePreview) -> str:
    """What lies at its path now, and what the build does about it."""
    title, sentence = _STATES[preview.state]
    return (
        f"<p class='ds01-dockerfile-state'><span class='ds01-badge ds01-badge-{preview.state}'>"
        f"{title}</span> {sentence.format(path=code(preview.path))}</p>"
    )


def files_html(files: dict[str, str]) -> str:
    """The files beside the Dockerfile, folded twice: they are many, and few people ask."""
    if not files:
        return ""
    inner = "".join(
        f"<details class='ds01-file'><summary>{code(name)}</summary>"
        f"<pre class='ds01-dockerfile'>{escape(text)}</pre></details>"
        for name, text in files.items()
    )
    return (
        f"<details class='ds01-file'><summary>The {len(files)} files that it copies</summary>"
        f"<div class='ds01-file-list'>{inner}</div></details>"
    )
