"""Wizards and views for the notebook. They hold no policy: all they know comes from the client.

Each function returns a widget at once and works in the background. `client` is a
`ds01_jupyter.client.Client`; without one the server is looked for when it is first needed.
ipywidgets is imported with the first call, not with this package. (No module here may have the
name of a function below: importing it would put the module in the function's place.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ds01_jupyter.widgets.gpu_map_view import GpuMap
    from ds01_jupyter.widgets.journey import Journey
    from ds01_jupyter.widgets.source import Source

__all__ = ["container_wizard", "create_wizard", "gpu_map", "image_wizard"]


def create_wizard(client: Source | None = None) -> Journey:
    """From nothing to a running container: the image wizard, then the container wizard."""
    from ds01_jupyter.widgets.journey import Journey

    return Journey.create(client)


def image_wizard(client: Source | None = None) -> Journey:
    """Build an image of one's own in three phases."""
    from ds01_jupyter.widgets.journey import Journey

    return Journey.image(client)


def container_wizard(client: Source | None = None, image: str | None = None) -> Journey:
    """Create a container in three phases; `image` is chosen already where it is given."""
    from ds01_jupyter.widgets.journey import Journey

    return Journey.container(client, image)


def gpu_map(client: Source | None = None, *, follow: bool = False) -> GpuMap:
    """Who has which GPU slot, drawn to scale; with `follow` it looks again by itself."""
    from ds01_jupyter.widgets.gpu_map_view import GpuMap

    return GpuMap(client, follow=follow)
