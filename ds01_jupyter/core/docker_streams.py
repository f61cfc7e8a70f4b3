"""Pulls and builds over Docker's API: progress, cancel, and nothing left behind."""

from __future__ import annotations

import io
import json
import re
import secrets
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from ds01_jupyter.core.build_estimate import BuildTimes
from ds01_jupyter.core.build_failure import build_failed
from ds01_jupyter.core.build_log import BuildKitLog, BuildLog, ClassicLog
from ds01_jupyter.core.build_routes import Route, no_buildx
from ds01_jupyter.core.buildx import BuildxStream
from ds01_jupyter.core.classic_leftovers import Leftovers, await_end
from ds01_jupyter.core.docker_errors import from_answer
from ds01_jupyter.core.docker_events import EventStream, NothingHeard
from ds01_jupyter.core.engine import BuildPlan, Reporter
from ds01_jupyter.core.errors import BuildFailed, DiskFull, EngineFailed, RegistryUnavailable
from ds01_jupyter.core.pull_progress import PullProgress

Api = Any
"""docker-py's low-level client; some of what is used here has no types, or is not public."""
ATTEMPTS = 5
_LAYER_LOST = re.compile(
    r"failed to get digest|no such image|layer does not exist|unknown parent image", re.IGNORECASE
)


def context_tar(files: Mapping[str, bytes], executable: frozenset[str] = frozenset()) -> bytes:
    """The build context as a tar: fixed owner, mode and time, so that equal files hit the cache."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o755 if name in executable else 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


# ---- pull ----


def pull(
    connect: Callable[[], Api], repository: str, tag: str, progress: Reporter, idle_timeout: float
) -> None:
    """Fetch an image; `RegistryUnavailable` with the registry's reason, or after silence."""
    reference = f"{repository}:{tag}"
    state = PullProgress(reference, progress)
    stream = EventStream(
        connect,
        "/images/create",
        progress,
        params={"fromImage": repository, "tag": tag},
        idle_timeout=idle_timeout,
    )
    progress.step("pull", None, f"asking the registry for {reference}")
    try:
        for event in stream:
            if "error" in event:
                raise _pull_failed(reference, str(event["error"]))
            state.heard(event)
    except NothingHeard:
        raise RegistryUnavailable(
            f"The registry of {reference} did not answer for {idle_timeout:.0f} seconds.",
            hint="Try again later, or ask your admin to pull the image.",
            image=reference,
        ) from None
    except APIError as error:
        raise _pull_failed(reference, error.explanation or str(error)) from error
    finally:
        stream.close()


def _pull_failed(reference: str, text: str) -> RegistryUnavailable | DiskFull:
    failure = from_answer(None, text)
    if isinstance(failure, DiskFull):
        return failure
    lowered = text.lower()
    if "not found" in lowered or "manifest unknown" in lowered or "does not exist" in lowered:
        return RegistryUnavailable(
            f"The registry has no image {reference}.",
            hint="Check its name, or choose another version of the framework.",
            image=reference,
            docker=text,
        )
    return RegistryUnavailable(
        f"The image {reference} could not be pulled: its registry cannot be reached.",
        hint="Try again later, or ask your admin whether this machine may reach the registry.",
        image=reference,
        docker=text,
    )


# ---- build ----


@dataclass(frozen=True)
class BuildRoute:
    """By which route to build, and what that needs."""

    name: Route
    times: BuildTimes
    """What steps took so far."""
    buildx: Path | None = None
    """The plugin."""
    host: str = ""
    """The engine's address for the plugin, as DOCKER_HOST."""


def build(
    api: Api,
    connect: Callable[[], Api],
    plan: BuildPlan,
    progress: Reporter,
    leftovers: Leftovers,
    route: BuildRoute,
) -> str:
    """Build by a route and return the image's id.

    The classic builder may lose a cached layer in the middle of a build, when somebody removes the
    image that it came from. Such a build is begun anew.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return _build(api, connect, plan, progress, leftovers, route)
        except BuildFailed as error:
            if route.name != "classic" or not _LAYER_LOST.search(error.details["problem"]):
                raise
            progress.log("A layer that the build used was removed; beginning anew.")
    return _build(api, connect, plan, progress, leftovers, route)


def _build(
    api: Api,
    connect: Callable[[], Api],
    plan: BuildPlan,
    progress: Reporter,
    leftovers: Leftovers,
    route: BuildRoute,
) -> str:
    before = _image_id(api, plan.reference)
    log: BuildLog
    if route.name == "classic":
        log = ClassicLog(plan, progress, route.times)
    else:
        log = BuildKitLog(plan, progress, route.times)
    build_id = secrets.token_hex(16)
    context = context_tar(plan.files, plan.executable)
    stream: EventStream | BuildxStream
    if route.name == "buildx":
        if route.buildx is None:
            raise no_buildx()
        stream = BuildxStream(route.buildx, route.host, plan, context, progress)
    else:
        stream = EventStream(
            connect,
            "/build",
            progress,
            params=_parameters(plan, build_id, buildkit=route.name == "api"),
            body=context,
            headers={"Content-Type": "application/x-tar"},
        )
    try:
        for event in stream:
            log.heard(event)
        built = _built(log)
        if route.name == "buildx":
            # It tells the id of the configuration, which in containerd's store is not the image's.
            built = _image_id(api, plan.reference) or built
        return built
    except APIError as error:
        # Refused before the first step: a Dockerfile that cannot be read.
        raise build_failed("Reading the Dockerfile", [], error.explanation or str(error)) from error
    except BaseException:
        if route.name == "api":
            with suppress(DockerException, RequestException):
                api._post(api._url("/build/cancel"), params={"id": build_id})
        stream.hang_up()
        for event in stream.rest():
            log.note(event)
        _clean_up(api, plan.reference, before, log, leftovers)
        raise
    finally:
        stream.close()
        with suppress(DockerException, RequestException):
            leftovers.sweep(api)


def _built(log: BuildLog) -> str:
    if log.image_id is None:
        raise EngineFailed("Docker ended the build without an image and without a reason.")
    return log.image_id


def _parameters(plan: BuildPlan, build_id: str, *, buildkit: bool) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "t": plan.reference,
        "dockerfile": plan.dockerfile,
        "rm": 1,
        "forcerm": 1,
        "labels": json.dumps(dict(plan.labels)),
        "buildargs": json.dumps(dict(plan.build_args)),
    }
    if buildkit:
        parameters |= {"version": "2", "buildid": build_id}
    if not plan.cache:
        parameters["nocache"] = 1
    return parameters


def _image_id(api: Api, reference: str) -> str | None:
    try:
        return str(api.inspect_image(reference)["Id"])
    except APIError as error:
        if error.status_code == 404:
            return None
        raise


def _clean_up(
    api: Api, reference: str, before: str | None, log: BuildLog, leftovers: Leftovers
) -> None:
    """Remove what a build that did not succeed has made: its container, its images, its name.

    Nothing here may hide why the build failed, so Docker's errors are passed over.
    """
    with suppress(DockerException, RequestException):
        if isinstance(log, ClassicLog):
            await_end(api, log.container_id)
            leftovers.add(log.made)
        if _image_id(api, reference) not in (None, before):
            api.remove_image(reference)
