"""What the extension costs a server, and `import ds01_jupyter` a kernel."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measure import Figure, in_turn, median, with_bytecode
from benchmarks.server import jupyter_server

ROUNDS = 10
PORT = 18_912
HEAVY = ("docker", "pynvml", "ipywidgets")

IMPORT_EXTENSION = """
import time
import jupyter_server.serverapp, jupyter_server.extension.application
start = time.perf_counter()
from ds01_jupyter import _jupyter_server_extension_points
app = _jupyter_server_extension_points()[0]["app"]
import sys
print(time.perf_counter() - start, *[name for name in {heavy} if name in sys.modules])
"""
IMPORT_KERNEL = """
import time
import ipykernel.ipkernel
start = time.perf_counter()
import ds01_jupyter
import sys
print(time.perf_counter() - start, *[name for name in {heavy} if name in sys.modules])
"""


INITIALISE = """
import sys, tempfile, time
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config
extensions = {extensions}
ServerApp.clear_instance()
start = time.process_time()
app = ServerApp.instance(
    config=Config(ServerApp={{"jpserver_extensions": extensions, "allow_root": True}})
)
app.initialize(
    ["--ServerApp.port=0", "--ServerApp.config_file=/dev/null", "--no-browser"],
    find_extensions=False,
)
print(time.process_time() - start)
"""


def fresh(code: str) -> tuple[float, list[str]]:
    """Run `code` in an interpreter of its own: its seconds, and the heavy modules it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=with_bytecode(),
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, *heavy = done.stdout.split()
    return float(seconds), heavy


def figures() -> list[Figure]:
    """Import times, and a whole server's start and memory with and without the extension."""
    heavy: set[str] = set()
    memory: dict[bool, list[float]] = {True: [], False: []}

    def imported(code: str) -> float:
        seconds, found = fresh(code)
        heavy.update(found)
        return seconds

    def started(extension: bool) -> float:
        with jupyter_server(PORT, extension=extension) as server:
            memory[extension].append(server.memory() / 2**20)
            return server.started

    extension, kernel = in_turn(
        ROUNDS,
        lambda: imported(IMPORT_EXTENSION.format(heavy=HEAVY)),
        lambda: imported(IMPORT_KERNEL.format(heavy=HEAVY)),
    )
    initialised, bare = in_turn(
        2 * ROUNDS,
        lambda: fresh(INITIALISE.format(extensions={"ds01_jupyter": True}))[0],
        lambda: fresh(INITIALISE.format(extensions={}))[0],
    )
    load = median([a - b for a, b in zip(initialised, bare, strict=True)]) * 1000
    with_it, without = in_turn(ROUNDS, lambda: started(True), lambda: started(False))
    delta = median([a - b for a, b in zip(with_it, without, strict=True)]) * 1000
    grown = median(memory[True]) - median(memory[False])
    return [
        Figure("extension load, server with it - bare server", load, 10, "ms", "CPU time"),
        Figure("of that, its import", median(extension) * 1000, None, "ms"),
        Figure("heavy modules loaded with it", len(heavy), 0, "modules", ", ".join(HEAVY)),
        Figure("whole server start, with - without", delta, None, "ms", "noise is about 50 ms"),
        Figure(
            "server memory, with - without", grown, None, "MiB", f"of {median(memory[False]):.0f}"
        ),
        Figure("import ds01_jupyter in a kernel", median(kernel) * 1000, 5, "ms"),
    ]
