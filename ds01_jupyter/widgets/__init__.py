"""Wizards and views for the notebook. They hold no policy: all they know comes from the client.

Each function returns a widget at once and works in the background. `client` is a
`ds01_jupyter.client.Client`; without one the server is looked for when it is first needed.
ipywidgets is imported with the first call, not with this package. (No module here may have the
name of a function below: importing it would put the module in the function's place.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ds01_jupyter.widgets.gpu_map_view import GpuMap
    from ds01_jupyter.widgets.journey import Journey
    from ds01_jupyter.widgets.queue_view import QueueView
    from ds01_jupyter.widgets.reservation_view import ReservationView
    from ds01_jupyter.widgets.source import Source
    from ds01_jupyter.widgets.update_flow import ImageUpdate
    from ds01_jupyter.widgets.why_view import WhyView

__all__ = [
    "container_wizard",
    "create_wizard",
    "gpu_map",
    "image_update",
    "image_wizard",
    "queue",
    "reservations",
    "why",
]


def create_wizard(client: Source | None = None, name: str | None = None) -> Journey:
    """From nothing to a running container: the image wizard, then the container wizard.

    `name` stands in their name fields already where it is given.
    """
    from ds01_jupyter.widgets.journey import Journey

    return Journey.create(client, name)


def image_wizard(
    client: Source | None = None,
    name: str | None = None,
    *,
    pip: Sequence[str] = (),
    apt: Sequence[str] = (),
) -> Journey:
    """Build an image of one's own, `name` or as the wizard suggests, in three phases.

    `pip` and `apt` stand in their fields already.
    """
    from ds01_jupyter.widgets.journey import Journey

    return Journey.image(client, name, pip=pip, apt=apt)


def image_update(client: Source | None = None, name: str = "") -> ImageUpdate:
    """Change the image `name`, build it anew, recreate its containers; or go back to a build."""
    from ds01_jupyter.widgets.update_flow import ImageUpdate

    return ImageUpdate(client, name)


def container_wizard(
    client: Source | None = None, image: str | None = None, name: str | None = None
) -> Journey:
    """Create a container in three phases; `image` and `name` are chosen already where given."""
    from ds01_jupyter.widgets.journey import Journey

    return Journey.container(client, image, name)


def gpu_map(client: Source | None = None, *, follow: bool = False) -> GpuMap:
    """Who has which GPU slot, drawn to scale; with `follow` it looks again by itself."""
    from ds01_jupyter.widgets.gpu_map_view import GpuMap

    return GpuMap(client, follow=follow)


def queue(client: Source | None = None, *, follow: bool = False) -> QueueView:
    """Who waits for GPU slots, in order; one's own places can be given up here."""
    from ds01_jupyter.widgets.queue_view import QueueView

    return QueueView(client, follow=follow)


def why(
    client: Source | None = None,
    *,
    gpu: str = "any",
    gpus: int = 1,
    container: str | None = None,
    follow: bool = False,
) -> WhyView:
    """Whether `gpus` such slots can be had now, what stops them and until when; or what happened
    to `container`."""
    from ds01_jupyter.widgets.why_view import WhyView

    return WhyView(client, gpu=gpu, gpus=gpus, container=container, follow=follow)


def reservations(
    client: Source | None = None,
    *,
    all: bool = False,  # noqa: A002 - the word of the API
    follow: bool = False,
) -> ReservationView:
    """What is promised to whom, on a line of time; with `all` what is over, too."""
    from ds01_jupyter.widgets.reservation_view import ReservationView

    return ReservationView(client, all=all, follow=follow)
