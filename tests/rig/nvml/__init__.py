"""A simulated NVIDIA driver: a real ``libnvidia-ml.so.1`` over a machine described in a file.

Software under test loads the library through the real pynvml and cannot tell the difference, as
far as the simulated calls go. The machine may change while it runs::

    library = build(out_dir)
    machine = Machine(tmp_path / "machine")
    machine.write_preset("lab")
    machine.load_here(library)
    machine.set(1, lost=1)
"""

from .machine import Machine, env, load_here
from .presets import PRESETS, gpus, preset
from .simulated import SONAME, build

__all__ = ["PRESETS", "SONAME", "Machine", "build", "env", "gpus", "load_here", "preset"]
