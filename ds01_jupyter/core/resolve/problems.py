"""Why packages cannot be installed together, in plain words, from what the resolver says."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ds01_jupyter.core.resolve.documents import ResolutionProblem
from ds01_jupyter.core.wording import nearest

HEADLESS = "opencv-python-headless"
OPENCV = frozenset(
    {"opencv-python", "opencv-contrib-python", HEADLESS, "opencv-contrib-python-headless"}
)
TORCH = ("torch", "torchvision", "torchaudio", "torchtext")
_CAUSE = re.compile(r"cause: (?P<cause>.*)", re.DOTALL)
_HINT = re.compile(r"^hint: .*", re.MULTILINE | re.DOTALL)
_NOT_FOUND = re.compile(r"(?P<package>[\w.-]+) was not found in the package registry")
_NO_WHEEL = re.compile(r"(?P<package>[\w.-]+?)(?:==\S+)? has no (?:usable )?wheels")
_NO_VERSION = re.compile(
    r"(?:there (?:is|are) no versions? of |only [^.]*? )(?P<wanted>(?P<package>[\w.-]+)[=<>!~]\S*)"
)
_REQUIRED = re.compile(r"you require (?P<package>[A-Za-z0-9][\w.-]*)")
_NETWORK = re.compile(
    r"error sending request|failed to fetch|dns error|timed? ?out|connection (?:refused|reset)"
    r"|certificate|could not connect",
    re.IGNORECASE,
)


def explain(
    said: str,
    requirements: Sequence[str],
    installed: Mapping[str, str],
    framework: Collection[str],
    known: Collection[str],
) -> ResolutionProblem:
    """One problem for what the resolver said.

    `requirements` are those that were asked for, `installed` name and version of what the base
    image has, `framework` the names among them that must stay, `known` names to guess from.
    """
    words = _cause(said)
    if found := _NOT_FOUND.search(words):
        return _not_found(found["package"], said, requirements, known)
    if _NETWORK.search(said) and "No solution" not in said:
        return ResolutionProblem(
            kind="network",
            package=None,
            message="The package index could not be reached.",
            suggestion="Try again; tell your admin when it stays so.",
            said=_shortened(said),
        )
    asked = _asked_for(requirements)
    fixed = [name for name in framework if _names(words, name)]
    culprits = [name for name in asked if _names(words, name)]
    if fixed and culprits:
        return _framework(words, said, culprits, fixed, asked, installed)
    if "numpy" in installed and _names(words, "numpy") and _bound_of_base(words, installed):
        return _numpy(said, culprits, asked, installed)
    if found := _NO_WHEEL.search(words):
        package = found["package"]
        return ResolutionProblem(
            kind="no_wheel",
            package=package,
            message=f"{package} has no ready-made wheel for the Python of this framework.",
            suggestion="Ask for another version, leave it out, or choose a newer framework.",
            said=_shortened(said),
        )
    if found := _NO_VERSION.search(words):
        package = canonicalize_name(found["package"])
        if package in asked:
            return ResolutionProblem(
                kind="no_version",
                package=package,
                message=f"There is no {found['wanted'].rstrip('.,')} for the Python of this "
                "framework.",
                suggestion="Ask for another version, or for any.",
                replace=package,
                said=_shortened(said),
            )
    return _conflict(said, culprits, asked)


def of_result(
    asked: Sequence[str], comes: Mapping[str, str], installed: Mapping[str, str], *, gl: bool
) -> list[ResolutionProblem]:
    """What fits by its versions and would not work: `comes` are the packages that would be
    installed; `gl` says whether the base has libGL."""
    return [*_opencv(asked, comes, installed, gl=gl), *_half_of_torch(comes, installed)]


def _opencv(
    asked: Sequence[str], comes: Mapping[str, str], installed: Mapping[str, str], *, gl: bool
) -> list[ResolutionProblem]:
    new = sorted(OPENCV & comes.keys())
    there = sorted((OPENCV & installed.keys()) - comes.keys())
    if not new:
        return []
    if len(new) + len(there) > 1:
        drop = next((name for name in new if name != HEADLESS), new[0])
        return [
            ResolutionProblem(
                kind="opencv",
                package=drop if drop in _asked_for(asked) else None,
                message=f"{' and '.join([*new, *there])} own the same files; together they break "
                "each other.",
                suggestion=f"Keep one of them, best {HEADLESS}.",
                replace="" if drop in _asked_for(asked) else None,
            )
        ]
    if not new[0].endswith("-headless") and not gl:
        instead = (
            new[0]
            .replace("opencv-python", HEADLESS)
            .replace("opencv-contrib-python", "opencv-contrib-python-headless")
        )
        return [
            ResolutionProblem(
                kind="opencv",
                package=new[0] if new[0] in _asked_for(asked) else None,
                message=f"{new[0]} needs a screen's libraries (libGL), which this image lacks.",
                suggestion=f"Take {instead}: the same without windows.",
                replace=instead if new[0] in _asked_for(asked) else None,
            )
        ]
    return []


def _half_of_torch(
    comes: Mapping[str, str], installed: Mapping[str, str]
) -> list[ResolutionProblem]:
    """A build of torch for a certain CUDA does not go with a companion from the index."""
    _, _, build = installed.get("torch", "").partition("+")
    if not build:
        return []
    new = [name for name in TORCH if name in comes and not comes[name].endswith(f"+{build}")]
    return [
        ResolutionProblem(
            kind="framework",
            package=name,
            message=f"{name} {comes[name]} of the index is built for another CUDA than the image's "
            f"torch {installed['torch']}; the two do not work together.",
            suggestion=f"Leave {name} out, or choose a framework version that has it.",
            replace="",
        )
        for name in new
    ]


def _not_found(
    package: str, said: str, requirements: Sequence[str], known: Collection[str]
) -> ResolutionProblem:
    near = nearest(package, known)
    directly = canonicalize_name(package) in _asked_for(requirements)
    return ResolutionProblem(
        kind="not_found",
        package=package,
        message=f"There is no package {package} on the package index."
        + ("" if directly else " Something that you asked for needs it."),
        suggestion=f"Did you mean {near}?" if near and directly else "Check its name.",
        replace=near if directly else None,
        said=_shortened(said),
    )


def _framework(
    words: str,
    said: str,
    culprits: Sequence[str],
    fixed: Sequence[str],
    asked: Mapping[str, str],
    installed: Mapping[str, str],
) -> ResolutionProblem:
    name = _required(words, culprits) or culprits[0]
    held = name if name in fixed else fixed[0]
    need = asked[name]
    return ResolutionProblem(
        kind="framework",
        package=name,
        message=f"{need} does not go with {held} {installed[held]}, which the framework's image "
        "has and which stays as it is.",
        suggestion=(
            f"Leave the version of {name} open, or choose a newer framework version."
            if need != name
            else f"Leave {name} out, ask for an older version, or choose a newer framework version."
        ),
        replace=name if need != name else None,
        said=_shortened(said),
    )


def _numpy(
    said: str, culprits: Sequence[str], asked: Mapping[str, str], installed: Mapping[str, str]
) -> ResolutionProblem:
    name = culprits[0] if culprits else None
    who = asked[name] if name else "What was asked for"
    return ResolutionProblem(
        kind="framework",
        package=name,
        message=f"{who} needs a newer major version of numpy than the image's "
        f"{installed['numpy']}; what the image has was compiled against that one.",
        suggestion="Ask for an older version, or choose a newer framework version.",
        replace=None,
        said=_shortened(said),
    )


def _bound_of_base(words: str, installed: Mapping[str, str]) -> bool:
    major = installed["numpy"].split(".")[0]
    return major.isdigit() and f"numpy<{int(major) + 1}" in words.replace(" ", "")


def _conflict(said: str, culprits: Sequence[str], asked: Mapping[str, str]) -> ResolutionProblem:
    shown = " and ".join(dict.fromkeys(asked[name] for name in culprits))
    several = len(culprits) > 1
    return ResolutionProblem(
        kind="conflict" if culprits else "other",
        package=culprits[-1] if culprits else None,
        message=(
            f"{shown} do not fit together."
            if several or (culprits and " and " in shown)
            else f"{shown} cannot be installed as it is asked for."
            if culprits
            else "The packages do not fit together."
        ),
        suggestion="Change or leave out one of them; the resolver's words name the versions.",
        said=_shortened(said),
    )


def _asked_for(requirements: Sequence[str]) -> dict[str, str]:
    """Canonical name -> what was asked for, joined where it was asked for twice."""
    asked: dict[str, str] = {}
    for text in requirements:
        try:
            name = canonicalize_name(Requirement(text).name)
        except InvalidRequirement:
            continue
        asked[name] = f"{asked[name]} and {text}" if name in asked else text
    return asked


def _required(words: str, culprits: Sequence[str]) -> str | None:
    for found in _REQUIRED.finditer(words):
        name = canonicalize_name(found["package"].rstrip(".,"))
        if name in culprits:
            return name
    return None


def _names(words: str, name: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", words) is not None


def _cause(said: str) -> str:
    found = _CAUSE.search(said)
    text = found["cause"] if found else said
    return " ".join(_HINT.sub("", text).split())


def _shortened(said: str, most: int = 2000) -> str:
    lines = [line.rstrip() for line in said.splitlines() if not line.startswith("Using Python")]
    text = "\n".join(lines).strip()
    return text if len(text) <= most else f"{text[: most - 3]}..."
