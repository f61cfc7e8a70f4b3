"""The image that lends uv to a build: its binary and nothing else, made once for each engine.

BuildKit mounts it into the steps that install, so that it costs an image no space and no download.
The binary is that of the `uv` package this server is installed with; it needs glibc.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import uv

from ds01_jupyter.core.engine import BuildPlan, Engine, Muted, Reporter

REPOSITORY = "ds01-jupyter/uv"
_DOCKERFILE = b"FROM scratch\nCOPY uv /uv\n"


def uv_reference() -> str | None:
    """Reference of the image; None when this server's uv has no binary to lend."""
    try:
        uv.find_uv_bin()
    except FileNotFoundError:
        return None
    return f"{REPOSITORY}:{version('uv')}"


def ensure_uv_image(engine: Engine, reference: str, progress: Reporter) -> None:
    """Have the image on the engine; nothing to do from the second time on."""
    if engine.image(reference) is not None:
        return
    progress.log("Making the image that lends uv to builds (once)")
    plan = BuildPlan(
        files={"Dockerfile": _DOCKERFILE, "uv": Path(uv.find_uv_bin()).read_bytes()},
        executable=frozenset({"uv"}),
        reference=reference,
    )
    engine.build(plan, Muted(progress))
