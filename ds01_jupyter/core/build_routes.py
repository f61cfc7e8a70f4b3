"""By which route an engine builds: BuildKit over its API, BuildKit through buildx, or the classic
builder.

All three take the same plan and leave the same image; what differs is what the engine can do:

- over the API BuildKit needs no other program, but the engine refuses it where images live in
  containerd's store, which wants a session that only a client such as buildx holds;
- buildx needs Docker's plugin of that name on this machine;
- the classic builder knows no mounts: no uv, no cache of packages, and nothing is resolved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ds01_jupyter.core.errors import ConfigurationError

Route = Literal["api", "buildx", "classic"]
Wish = Literal["auto", "api", "buildx", "classic"]

BUILDKIT_SINCE = (1, 41)
"""Docker 20.10: the first whose own BuildKit knows `RUN --mount` without a frontend to download."""
CONTAINERD_STORE = "io.containerd.snapshotter.v1"


@dataclass(frozen=True)
class Choice:
    """A route, and why BuildKit is not used, in a sentence."""

    route: Route
    note: str = ""


def over_api(api_version: str, driver_status: Mapping[str, str], os_type: str) -> bool:
    """Whether BuildKit builds without a session: the engine's own exporter refuses that when images
    live in containerd's store."""
    return _has_buildkit(api_version, os_type) and not in_containerd(driver_status)


def in_containerd(driver_status: Mapping[str, str]) -> bool:
    """Whether images live in containerd's store."""
    return driver_status.get("driver-type") == CONTAINERD_STORE


def _has_buildkit(api_version: str, os_type: str) -> bool:
    numbers = tuple(int(part) for part in api_version.split("."))
    return numbers >= BUILDKIT_SINCE and os_type == "linux"


def choose(
    wish: Wish,
    api_version: str,
    driver_status: Mapping[str, str],
    os_type: str,
    buildx: Path | None,
) -> Choice:
    """The route for an engine. A wish other than `auto` is kept to, whatever comes of it."""
    if wish != "auto":
        note = "The admin of this machine chose the classic builder." if wish == "classic" else ""
        return Choice(wish, note)
    if over_api(api_version, driver_status, os_type):
        return Choice("api")
    if not _has_buildkit(api_version, os_type):
        return Choice("classic", "This Docker is too old to build with BuildKit.")
    if buildx is not None:
        return Choice("buildx")
    return Choice(
        "classic",
        "This Docker keeps its images in containerd's store, where BuildKit needs buildx, and that "
        "is not installed.",
    )


def no_buildx() -> ConfigurationError:
    """The refusal where the admin chose buildx and it is not there."""
    return ConfigurationError(
        "Images are to be built with buildx, which is not installed on this machine.",
        hint="Tell your admin: install docker-buildx, or set DS01App.build_route to auto.",
    )


def route_of(text: str) -> Wish:
    """A wish from its word; `ConfigurationError` for any other."""
    for wish in ("auto", "api", "buildx", "classic"):
        if text == wish:
            return wish
    raise ConfigurationError(
        f"There is no way of building called {text}.",
        hint="DS01App.build_route is auto, api, buildx or classic.",
    )
