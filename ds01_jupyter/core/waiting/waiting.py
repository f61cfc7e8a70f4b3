"""All parts of waiting, put together for a lab."""

from __future__ import annotations

from ds01_jupyter.core.allocator import Allocator
from ds01_jupyter.core.clock import Clock
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.creating import Creating
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.operations import Operations
from ds01_jupyter.core.waiting.dispatcher import Dispatcher
from ds01_jupyter.core.waiting.explain import Explainer
from ds01_jupyter.core.waiting.forecast import Forecast
from ds01_jupyter.core.waiting.machine import Machine
from ds01_jupyter.core.waiting.people import People
from ds01_jupyter.core.waiting.queue import Queue
from ds01_jupyter.core.waiting.recovery import Recovery
from ds01_jupyter.core.waiting.scene import Stage


class Waiting:
    """The queue of one host as one process serves and shows it."""

    def __init__(
        self,
        stage: Stage,
        people: People,
        *,
        ledger: Ledger,
        containers: Containers,
        driver: NvmlDriver,
        allocator: Allocator,
        operations: Operations,
        creating: Creating,
        clock: Clock,
    ) -> None:
        self.machine = machine = Machine(stage, containers, driver, allocator)
        forecast = Forecast(ledger, machine)
        self.queue = Queue(ledger, machine, creating, people, forecast.of_queue, clock)
        self.explainer = Explainer(ledger, machine, forecast, people, containers, creating, clock)
        recovery = Recovery(ledger, containers, people, operations.at_work, clock)
        self.dispatcher = Dispatcher(ledger, machine, creating, people, recovery, clock)

    def start(self) -> None:
        """Begin to serve those who wait."""
        self.dispatcher.start()

    def close(self) -> None:
        """Serve nobody any more; before operations are ended."""
        self.dispatcher.close()
