"""Names of images and containers, and how they appear in Docker.

AIME's form of a container is `NAME._.UID`; the same text is the tag of the container's own image,
so it must stay within a tag's 128 characters. An image of one's own is `NAME-USER:latest`.
"""

from __future__ import annotations

import re
import unicodedata

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.wording import quoted

MAX_NAME = 60
"""Longest name a person may choose; AIME's own bound is 125 less the digits of the uid."""
MAX_UID = 2**32 - 2
SEPARATOR = "._."

_IMAGE = re.compile(r"[a-z0-9]+(?:(?:__?|-+)[a-z0-9]+)*")
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_FULL = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)\._\.(?P<uid>0|[1-9][0-9]{0,9})")
_PLAIN_USER = re.compile(r"[a-z0-9]+(?:[._][a-z0-9]+)*")
_MAX_PLAIN_USER = 64

IMAGE_RULE = (
    f"lowercase letters and digits, with - or _ between them, at most {MAX_NAME} characters"
)
CONTAINER_RULE = (
    f"letters, digits, - and _, beginning with a letter or digit, at most {MAX_NAME} characters"
)

# The grammar of an image reference as Docker's distribution project defines it, less registries
# that are a bare word with capitals: there `Aimehub/x` is a misspelt repository.
_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:localhost|{_DOMAIN_PART}(?=[.:])(?:\.{_DOMAIN_PART})*)"
_DOMAIN = rf"{_HOST}(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<repository>(?:{_DOMAIN}/)?{_PATH_PART}(?:/{_PATH_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[a-z][a-z0-9]*(?:[-_+.][a-z][a-z0-9]*)*:[0-9a-f]{32,}))?"
)
_MAX_REPOSITORY = 255


def image_name(text: str) -> str:
    """The name of an image, checked; the text itself is returned.

    Raises `InvalidInput` that names the rule and offers a name that fits it.
    """
    if len(text) <= MAX_NAME and _IMAGE.fullmatch(text):
        return text
    raise _refusal("an image", text, IMAGE_RULE, _suggestion(text.lower()))


def container_name(text: str, uid: int) -> str:
    """The name of a container of the account `uid`, checked; the text itself is returned.

    Raises `InvalidInput` that names the rule and offers a name that fits it.
    """
    longest = min(MAX_NAME, 125 - len(str(uid)))
    if len(text) <= longest and _CONTAINER.fullmatch(text):
        return text
    raise _refusal("a container", text, CONTAINER_RULE, _suggestion(text))


def full_name(name: str, uid: int) -> str:
    """AIME's name of a container in Docker: `NAME._.UID`."""
    return f"{name}{SEPARATOR}{uid}"


def split_full_name(full: str) -> tuple[str, int] | None:
    """The inverse of `full_name`; None when it is not of that form.

    More names are understood than we would make: AIME v1 lets a name hold dots.
    """
    match = _FULL.fullmatch(full)
    if match is None or int(match["uid"]) > MAX_UID:
        return None
    return match["name"], int(match["uid"])


def image_reference(name: str, person: Person) -> str:
    """`NAME-USER:latest`, the reference of a person's own image.

    No two people and names share one. A user part never holds a `-`, so the last `-` divides name
    and user. An account name that a reference cannot hold as it is (`u-ser`, `User`, `a@b`) is
    written as what is readable of it and the uid after `__`, which no other user part has.
    """
    return f"{image_name(name)}-{_user_part(person)}:latest"


def is_reference(text: str) -> bool:
    """Whether Docker would accept this as the reference of an image."""
    return split_reference(text) is not None


def split_reference(text: str) -> tuple[str, str | None, str | None] | None:
    """Repository, tag and digest of an image reference; None when it is not one.

    The repository may hold a registry with a port: `host:5000/a/b:1` is `host:5000/a/b` and `1`.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None or len(match["repository"]) > _MAX_REPOSITORY:
        return None
    return match["repository"], match["tag"], match["digest"]


def _user_part(person: Person) -> str:
    name = person.name
    if len(name) <= _MAX_PLAIN_USER and _PLAIN_USER.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "_", _ascii(name).lower()).strip("_")[:32].rstrip("_")
    return f"{readable or 'user'}__{person.uid}"


def _refusal(what: str, text: str, rule: str, suggestion: str) -> InvalidInput:
    shown = quoted(text)
    message = f"{shown} cannot be the name of {what}." if text else f"The name of {what} is empty."
    return InvalidInput(
        message,
        hint=f"Use {rule}; for example {suggestion!r}.",
        name=text[:MAX_NAME],
        rule=rule,
        suggestion=suggestion,
    )


def _suggestion(text: str) -> str:
    """The name that is nearest to the text and fits both rules."""
    words = re.findall(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*", _ascii(text[: 4 * MAX_NAME]))
    return "-".join(words)[:MAX_NAME].rstrip("-_") or "my-project"


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
