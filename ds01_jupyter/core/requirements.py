"""What a person may write as a pip or apt package.

The text ends up in a requirements file and in a list of Debian packages, where pip and apt would
read options, URLs, paths, variables and removals. None of these gets through.
"""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.wording import quoted

MAX_LENGTH = 200

# Letters, digits and the punctuation of PEP 508 without URLs: no slash, backslash, colon, @, #
# (pip's comment), $ (pip expands variables), backtick, brace or control character.
_CHARACTERS = re.compile(r"""[A-Za-z0-9 ._\-\[\],<>=!~;()'"+*]*""")
# pip takes everything from a word with a leading dash as options, even inside a marker's quotes.
_DASHED_WORD = re.compile(r"(?:^|\s)-")

_APT = re.compile(r"[a-z0-9][a-z0-9+.-]+")

_PIP_FORM = "Write a package of the Python index, such as numpy, 'numpy>=2' or 'jax[cuda12]'"
_APT_FORM = "Write the name of a Debian package, such as ffmpeg or libgl1"


def parse_requirement(text: str) -> str:
    """One requirement in its canonical form: `numpy >= 2` becomes `numpy>=2`.

    Extras, version specifiers and environment markers are allowed. Raises `InvalidInput` for
    anything else: options, URLs, paths, control characters, several packages in one text.
    """
    if len(text) > MAX_LENGTH:
        raise _refused(text, f"it is longer than {MAX_LENGTH} characters", f"{_PIP_FORM}.")
    if not text.strip():
        raise InvalidInput("The name of a pip package is empty.", hint=f"{_PIP_FORM}.")
    trouble = _pip_trouble(text)
    if trouble is not None:
        raise _refused(text, *trouble)
    try:
        canonical = str(Requirement(text.strip()))
    except (InvalidRequirement, RecursionError):
        raise _refused(text, *_why_invalid(text)) from None
    if _DASHED_WORD.search(canonical):
        raise _refused(text, "a marker in it looks like an option", f"{_PIP_FORM}.")
    return canonical


def parse_apt(text: str) -> str:
    """One name of a Debian package, as it is.

    Raises `InvalidInput` for options, versions (`=1.2`), releases (`/bookworm`), architectures
    (`:i386`), and for apt's own marks at the end: `git-` would remove git, `git+` install it.
    """
    name = text.strip(" ")
    if len(name) > MAX_LENGTH:
        raise _apt_refused(text, f"it is longer than {MAX_LENGTH} characters", f"{_APT_FORM}.")
    if not name.strip():
        raise InvalidInput("The name of an apt package is empty.", hint=f"{_APT_FORM}.")
    if not _APT.fullmatch(name):
        raise _apt_refused(text, *_apt_trouble(name))
    if name.endswith("-"):
        raise _apt_refused(text, "apt would remove it for the '-' at its end", "Leave out the '-'.")
    if name.endswith("+") and not name.endswith("++"):
        raise _apt_refused(text, "the '+' at its end is a mark of apt", "Leave out the '+'.")
    if name.endswith("."):
        raise _apt_refused(text, "no Debian package ends in '.'", "Leave out the '.'.")
    return name


def _pip_trouble(text: str) -> tuple[str, str] | None:
    """What is wrong with it and what to do, for what must not even be parsed."""
    if not text.isprintable():
        return "it holds a line break or a control character", "Write one package in one line."
    if text.strip().startswith("-"):
        return (
            "it is an option of pip, not a package",
            f"{_PIP_FORM}; where packages come from is set by your admin.",
        )
    if "@" in text or "://" in text:
        return (
            "it names a URL",
            "Only packages of the index can be installed in an image; give the package's name.",
        )
    if "/" in text or "\\" in text or text.strip().startswith("."):
        return "it is a path, not a package", f"{_PIP_FORM}."
    if not _CHARACTERS.fullmatch(text):
        bad = next(c for c in text if not _CHARACTERS.fullmatch(c))
        return f"it holds the character {bad!a}", f"{_PIP_FORM}."
    return None


def _why_invalid(text: str) -> tuple[str, str]:
    head, semicolon, _ = text.partition(";")
    if semicolon and _parses(head):
        return (
            "what follows the ';' is not an environment marker",
            f"{_PIP_FORM}, or a marker such as 'numpy; python_version < \"3.12\"'.",
        )
    words = [word for word in re.split(r"[\s,]+", text.strip()) if word]
    if len(words) > 1 and all(_parses(word) for word in words):
        return "it is several packages in one", "Give each package on its own."
    return "it is not a package name with versions as pip understands it", f"{_PIP_FORM}."


def _parses(text: str) -> bool:
    try:
        Requirement(text.strip())
    except InvalidRequirement:
        return False
    return True


def _apt_trouble(name: str) -> tuple[str, str]:
    if name.startswith("-"):
        return "it is an option of apt, not a package", f"{_APT_FORM}."
    base, mark, _ = name.partition("=")
    if mark and _APT.fullmatch(base):
        return "a version cannot be chosen here", f"Write {base!r}; the base image decides."
    if _APT.fullmatch(name.lower()):
        return "names of Debian packages are in lowercase", f"Write {name.lower()!r}."
    if re.search(r"[\s,]", name) and all(_APT.fullmatch(w) for w in re.split(r"[ ,]+", name)):
        return "it is several packages in one", "Give each package on its own."
    return "it is not the name of a Debian package", f"{_APT_FORM}."


def _refused(text: str, why: str, what_to_do: str) -> InvalidInput:
    return _refusal("pip", text, why, what_to_do)


def _apt_refused(text: str, why: str, what_to_do: str) -> InvalidInput:
    return _refusal("apt", text, why, what_to_do)


def _refusal(kind: str, text: str, why: str, what_to_do: str) -> InvalidInput:
    return InvalidInput(
        f"The {kind} package {quoted(text)} cannot be installed: {why}.",
        hint=what_to_do,
        package=text[:MAX_LENGTH],
        kind=kind,
    )
