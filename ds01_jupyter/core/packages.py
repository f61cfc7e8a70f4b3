"""The tiers of packages on top of a framework: base, use cases, and one's own.

What the tiers hold is data that an admin can edit (`tiers.yaml`); here is how a request picks from
them. Each package is installed once, by the first layer that names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.models import ImageRequest, Tier, TierPackage, Tiers
from ds01_jupyter.core.requirements import parse_apt, parse_requirement
from ds01_jupyter.core.wording import did_you_mean, nearest, quoted
from ds01_jupyter.core.yaml_file import Node, load_yaml

__all__ = ["PackageLayer", "PackageSelection", "TierFile", "parse_apt", "parse_requirement"]

BASE, CUSTOM = "base", "custom"

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class PackageLayer:
    """One step of the build: what it installs and why, for the Dockerfile's comments.

    `key` is `base`, the key of a use case, or `custom`; `requirements` are canonical and not
    empty.
    """

    key: str
    title: str
    why: str
    requirements: tuple[str, ...]


@dataclass(frozen=True)
class PackageSelection:
    """What an image gets on top of its framework: pip layers in order, Debian packages."""

    layers: tuple[PackageLayer, ...]
    apt: tuple[str, ...]

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements of all layers."""
        return tuple(r for layer in self.layers for r in layer.requirements)


@dataclass(frozen=True)
class TierFile:
    """The tiers that an admin offers."""

    base: Tier
    use_cases: tuple[Tier, ...]
    source: Path

    @classmethod
    def load(cls, path: Path) -> TierFile:
        """Read `tiers.yaml`; raises `ConfigurationError` with line and place of a mistake."""
        root = load_yaml(path, "The tiers file")
        try:
            content = _File.model_validate(root.plain())
        except ValidationError as error:
            raise _mistake(root, error) from None
        use_cases = []
        for key, section in content.use_cases.items():
            if not _KEY.fullmatch(key) or key in (BASE, CUSTOM):
                raise root.at(("use_cases", key)).mistake(
                    "a use case is named by lowercase letters, digits, - and _, and not base or "
                    "custom",
                    of_key=True,
                )
            use_cases.append(_tier(key, section, root.at(("use_cases", key))))
        return cls(_tier(BASE, content.base, root.at((BASE,))), tuple(use_cases), path)

    def document(self) -> Tiers:
        """The tiers as the API shows them."""
        return Tiers(base=self.base, use_cases=list(self.use_cases))

    def select(self, request: ImageRequest) -> PackageSelection:
        """The layers of a request: base, use cases in the order of the file, one's own.

        A layer that would install nothing is left out. A requirement that an earlier layer has
        already is left out too, unless it asks for more (versions, extras). Raises
        `InvalidInput` for what is not a package, an unknown use case, or a base package that the
        base tier does not have.
        """
        tiers = [self._chosen_base(request.base), *self._chosen_use_cases(request.use_cases)]
        own = Tier(
            key=CUSTOM,
            title="Your own packages",
            why="Asked for by name.",
            packages=[TierPackage(name=parse_requirement(text), why="") for text in request.pip],
        )
        installed = _Installed()
        layers = []
        for tier in (*tiers, own):
            requirements = tuple(p.name for p in tier.packages if installed.adds(p.name))
            if requirements:
                layers.append(PackageLayer(tier.key, tier.title, tier.why, requirements))
        apt = [package.name for tier in tiers for package in tier.apt]
        apt += [parse_apt(text) for text in request.apt]
        return PackageSelection(tuple(layers), tuple(dict.fromkeys(apt)))

    def _chosen_base(self, choice: str | list[str]) -> Tier:
        if choice == "defaults":
            return self.base
        if choice == "none":
            return self.base.model_copy(update={"packages": [], "apt": []})
        by_name = {_name(package.name): package for package in self.base.packages}
        wanted = {self._base_package(text, by_name) for text in choice}
        packages = [p for name, p in by_name.items() if name in wanted]
        apt = self.base.apt if packages else []
        return self.base.model_copy(update={"packages": packages, "apt": apt})

    def _base_package(self, text: str, by_name: dict[str, TierPackage]) -> str:
        requirement = parse_requirement(text)
        name = _name(requirement)
        if name not in by_name:
            raise InvalidInput(
                f"The base tier has no package {quoted(text)}.",
                hint=f"{did_you_mean(text, [Requirement(p.name).name for p in by_name.values()])} "
                "Packages of your own go with pip.",
                package=text,
                packages=[package.name for package in by_name.values()],
            )
        offered = by_name[name].name
        if requirement != offered and canonicalize_name(requirement) != name:
            raise InvalidInput(
                f"The base tier has {offered}, not {quoted(text)}.",
                hint=f"Choose {Requirement(offered).name!r} here and give {requirement!r} with "
                "your own pip packages.",
                package=text,
                offered=offered,
            )
        return name

    def _chosen_use_cases(self, keys: list[str]) -> list[Tier]:
        known = [tier.key for tier in self.use_cases]
        for key in keys:
            if key not in known:
                raise InvalidInput(
                    f"There is no use case {quoted(key)}.",
                    hint=did_you_mean(key, known) or "This lab offers no use cases.",
                    use_case=key,
                    use_cases=known,
                )
        return [tier for tier in self.use_cases if tier.key in keys]


class _Installed:
    """Which requirements earlier layers have."""

    def __init__(self) -> None:
        self._seen: dict[str, list[Requirement]] = {}

    def adds(self, text: str) -> bool:
        """Whether a requirement asks for more than what is there; notes that it is there now."""
        requirement = Requirement(text)
        earlier = self._seen.setdefault(_name(text), [])
        if any(_covers(other, requirement) for other in earlier):
            return False
        earlier.append(requirement)
        return True


def _covers(there: Requirement, asked: Requirement) -> bool:
    """Whether installing `there` gives all that `asked` asks for."""
    return (
        (there.marker is None or there.marker == asked.marker)
        and asked.extras <= there.extras
        and (not asked.specifier or asked.specifier == there.specifier)
    )


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


# ---- the file --------------------------------------------------------------------------------


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @field_validator("packages", "apt", "use_cases", mode="before", check_fields=False)
    @classmethod
    def _nothing_but_comments(cls, value: Any, info: Any) -> Any:
        if value is None:
            return {} if info.field_name == "use_cases" else []
        return value


class _Package(_Section):
    name: str = Field(min_length=1)
    why: str = Field(min_length=1, max_length=400)


class _Set(_Section):
    title: str = Field(min_length=1, max_length=100)
    why: str = Field(min_length=1, max_length=400)
    packages: list[_Package]
    apt: list[_Package] = Field(default_factory=list)


class _File(_Section):
    base: _Set
    use_cases: dict[str, _Set] = Field(default_factory=dict)


def _tier(key: str, section: _Set, node: Node) -> Tier:
    return Tier(
        key=key,
        title=_line(section.title),
        why=_line(section.why),
        packages=_packages(section.packages, node.at(("packages",)), pip=True),
        apt=_packages(section.apt, node.at(("apt",)), pip=False),
    )


def _packages(packages: Iterable[_Package], node: Node, *, pip: bool) -> list[TierPackage]:
    seen: set[str] = set()
    result = []
    for index, package in enumerate(packages):
        place = node.at((index, "name"))
        try:
            text = parse_requirement(package.name) if pip else parse_apt(package.name)
        except InvalidInput as error:
            raise place.mistake(error.message.removesuffix("."), hint=error.hint) from None
        name = _name(text) if pip else text
        if name in seen:
            raise place.mistake(f"{name} is in this set twice")
        seen.add(name)
        result.append(TierPackage(name=text, why=_line(package.why)))
    return result


def _line(text: str) -> str:
    """A sentence on one line: it goes into comments of a Dockerfile."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _mistake(root: Node, error: ValidationError) -> Exception:
    # A misspelt key is also a missing one; the misspelling says more.
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    place: tuple[str | int, ...] = first["loc"]
    node = root.at(place)
    if first["type"] == "missing":
        return node.mistake(f"{place[-1]!r} is missing")
    if first["type"] == "extra_forbidden":
        near = nearest(str(place[-1]), ("base", "use_cases", "title", "why", "packages", "apt"))
        hint = f"Did you mean {near!r}?" if near else ""
        return node.mistake("this key has no meaning here", hint=hint, of_key=True)
    message = first["msg"]
    return node.mistake(message[0].lower() + message[1:])
