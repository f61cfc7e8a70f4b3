"""GPU containers for a lab, from the notebook.

Only the doors stand here: what a Jupyter Server and what IPython look for. Both import their
side when they are opened, so `import ds01_jupyter` in a kernel costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ds01_jupyter._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["__version__", "load_ipython_extension"]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server which ExtensionApp to load."""
    from ds01_jupyter.app import DS01App

    return [{"module": "ds01_jupyter", "app": DS01App}]


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """`%load_ext ds01_jupyter`: register the `%ds01` magic."""
    from ds01_jupyter.magics import register

    register(ipython)
