"""What the views need of the client, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ds01_jupyter.core import models


class Source(Protocol):
    """The part of `ds01_jupyter.client.Client` that the views call.

    Every method raises an error with `message`, `hint`, `code` and `details` (`ClientError`).
    """

    def about(self) -> models.About:
        """What the server is and for whom it answers."""

    def catalogue(self, architecture: str | None = None) -> models.Catalogue:
        """The frameworks that fit the machine, or another architecture."""

    def packages(self) -> models.Tiers:
        """The base tier and the use cases."""

    def limits(self) -> models.LimitsReport:
        """The person's limits, and what is in use of them."""

    def gpus(self) -> models.GpuSnapshot:
        """All GPUs with their slots."""

    def images(self) -> Sequence[models.Image]:
        """One's own images, and the others on this machine."""

    def preview_dockerfile(self, request: models.ImageRequest) -> models.DockerfilePreview:
        """The Dockerfile as it would be built; nothing is written."""

    def create_image(self, request: models.ImageRequest) -> models.Operation:
        """Start a build."""

    def image(self, name: str) -> models.Image:
        """One image of one's own, with its packages."""

    def image_dockerfile(self, name: str) -> models.DockerfilePreview:
        """The Dockerfile of an image as it lies on disk."""

    def resolve_image(self, request: models.ImageRequest) -> models.Resolution:
        """What the packages come to; nothing is built."""

    def import_packages(
        self, filename: str, text: str, extras: Sequence[str] = ()
    ) -> models.ImageImport:
        """The packages of a file."""

    def update_image(self, name: str, changes: models.ImageUpdateRequest) -> models.Operation:
        """Start to build an image anew."""

    def image_builds(self, name: str) -> Sequence[models.ImageBuild]:
        """The builds that are kept, newest first."""

    def image_diff(
        self, name: str, before: int | None = None, after: int | None = None
    ) -> models.ImageDiff:
        """What differs between two builds."""

    def rollback_image(self, name: str, to: int | None = None) -> models.Image:
        """Go back to an earlier build."""

    def recreate_container(self, name: str) -> models.Operation:
        """Start to make a container anew from its image."""

    def containers(self) -> Sequence[models.Container]:
        """One's own containers."""

    def container(self, name: str) -> models.Container:
        """One container, with its limits."""

    def create_container(self, request: models.ContainerRequest) -> models.Operation:
        """Start to create a container."""

    def start_container(self, name: str) -> models.Container:
        """Start a stopped container."""

    def stop_container(self, name: str) -> models.Container:
        """Stop a running container."""

    def remove_container(self, name: str) -> None:
        """Remove a stopped container; its workspace stays."""

    def keep_alive(self, name: str, hours: float | None = None) -> models.Container:
        """Do not stop it for idling, for `hours` or as long as is allowed."""

    def container_logs(self, name: str, tail: int = 200) -> models.Logs:
        """The end of its output."""

    def why(self, gpu: str = "any", gpus: int = 1) -> models.Explanation:
        """Whether slots could be had now; if not why, when, and what instead."""

    def why_container(self, name: str) -> models.Explanation:
        """What happened to a container of one's own."""

    def queue(self) -> Sequence[models.QueueEntry]:
        """Everybody who waits for slots, in order."""

    def join_queue(self, request: models.ContainerRequest) -> models.QueueEntry:
        """Wait for the slots of a container."""

    def queue_entry(self, entry_id: int) -> models.QueueEntry:
        """Where one place stands."""

    def leave_queue(self, entry_id: int) -> None:
        """Give a place up."""

    def reservations(self, all: bool = False) -> Sequence[models.Reservation]:  # noqa: A002
        """What is promised to whom: upcoming and active, or all."""

    def operation(self, operation_id: str) -> models.Operation:
        """Where a long piece of work stands."""

    def cancel_operation(self, operation_id: str) -> models.Operation:
        """Ask it to stop."""

    def events(self, operation_id: str, after: int = 0) -> Iterator[models.OperationEvent]:
        """What it tells, from the event behind `after` until it has ended."""


Connect = Callable[[], Source]


def connector(client: Source | None) -> Connect:
    """How to get at the client: the given one, or the one that finds its server when asked."""
    if client is not None:
        return lambda: client

    def discover() -> Source:
        from ds01_jupyter.client import Client

        return Client.discover()

    return discover
