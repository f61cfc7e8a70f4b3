"""The one way to the lab from a kernel or a terminal: REST and server-sent events.

The methods mirror the API one to one and return its documents (`core.models`). This module pulls
httpx and pydantic in, so it is imported when it is needed and not with `ds01_jupyter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ds01_jupyter.client_answers import FINAL, part
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.client_images import ImageCalls
from ds01_jupyter.client_waiting import WaitingCalls
from ds01_jupyter.core import mig_documents, models
from ds01_jupyter.discovery import discover

__all__ = ["FINAL", "Client", "ClientError"]


class Client(ImageCalls, WaitingCalls):
    """Speaks to the ds01 extension of one Jupyter server.

    `timeout` is in seconds and holds for every request; event streams have their own. May be used
    from several threads. Every method raises `ClientError`.
    """

    @classmethod
    def discover(cls, url: str | None = None, *, timeout: float = 30.0) -> Client:
        """A client for the server that `discovery.discover` finds."""
        return cls(discover(url), timeout=timeout)

    # ---- the lab ---------------------------------------------------------------------------

    def about(self) -> models.About:
        """Version, person, and whether Docker and the GPUs answer."""
        return self._one(models.About, "GET", "about")

    def catalogue(self, architecture: str | None = None) -> models.Catalogue:
        """The frameworks that fit the machine, or the architecture asked for."""
        params = {"architecture": architecture} if architecture else {}
        return self._one(models.Catalogue, "GET", "catalogue", params=params)

    def packages(self) -> models.Tiers:
        """The tiers of packages."""
        return self._one(models.Tiers, "GET", "packages")

    def limits(self) -> models.LimitsReport:
        """One's limits and what is in use of them."""
        return self._one(models.LimitsReport, "GET", "limits")

    def check_limits(self, text: str) -> models.CheckReport:
        """What is wrong or odd in the text of a limits file; nothing is changed."""
        return self._one(models.CheckReport, "POST", "limits/check", body={"text": text})

    def gpus(self) -> models.GpuSnapshot:
        """All GPUs, their slots, and who has them."""
        return self._one(models.GpuSnapshot, "GET", "gpus")

    def gpu_history(self) -> models.GpuHistory:
        """What all GPUs and MIG instances did in the last hour."""
        return self._one(models.GpuHistory, "GET", "gpus/history")

    def gpu_events(self, *, patience: float = 120.0) -> Iterator[models.GpuSnapshot]:
        """The GPUs whenever something changes, and every few seconds; without an end.

        A broken connection is taken up again; raises `ClientError` with code
        `server_unreachable` after `patience` seconds without the server.
        """
        from ds01_jupyter.gpu_stream import follow

        return follow(self._http, self, patience=patience)

    def cordon_gpu(self, gpu: str, reason: str) -> models.GpuSnapshot:
        """Take a GPU (index or UUID) out of use; for admins."""
        body = {"reason": reason}
        return self._one(models.GpuSnapshot, "POST", f"gpus/{part(gpu)}/cordon", body=body)

    def uncordon_gpu(self, gpu: str) -> models.GpuSnapshot:
        """Give a GPU back that was cordoned; for admins."""
        return self._one(models.GpuSnapshot, "POST", f"gpus/{part(gpu)}/uncordon")

    # ---- containers ------------------------------------------------------------------------

    def containers(self, all: bool = False) -> list[models.Container]:  # noqa: A002
        """One's own containers, or everybody's."""
        return self._many(models.Container, "containers", params={"all": "true"} if all else {})

    def container(self, name: str) -> models.Container:
        """One container, with its limits."""
        return self._one(models.Container, "GET", f"containers/{part(name)}")

    def create_container(self, request: models.ContainerRequest) -> models.Operation:
        """Begin to create a container; `wait` for the operation to end."""
        return self._one(
            models.Operation, "POST", "containers", body=request.model_dump(mode="json")
        )

    def start_container(self, name: str) -> models.Container:
        """Start a stopped container."""
        return self._one(models.Container, "POST", f"containers/{part(name)}/start")

    def stop_container(self, name: str) -> models.Container:
        """Stop a running container; its files stay."""
        return self._one(models.Container, "POST", f"containers/{part(name)}/stop")

    def remove_container(self, name: str) -> None:
        """Remove a stopped container and free its slots; the workspace stays."""
        self._send("DELETE", f"containers/{part(name)}")

    def container_logs(self, name: str, tail: int = 200) -> models.Logs:
        """The last `tail` lines of a container's output."""
        return self._one(models.Logs, "GET", f"containers/{part(name)}/logs", params={"tail": tail})

    def recreate_container(self, name: str) -> models.Operation:
        """Begin to make a container anew from its image as it is now; its workspace stays."""
        return self._one(models.Operation, "POST", f"containers/{part(name)}/recreate")

    def keep_alive(self, name: str, hours: float | None = None) -> models.Container:
        """Let a container not be stopped for idling for `hours` (None: as long as is allowed)."""
        body = {} if hours is None else {"hours": hours}
        return self._one(models.Container, "POST", f"containers/{part(name)}/keep-alive", body=body)

    def notices(self, after: int = 0) -> list[models.Notice]:
        """What one was told after the notice with the number `after`, the newest last."""
        return self._many(models.Notice, "notices", params={"after": after})

    # ---- MIG layout ------------------------------------------------------------------------

    def mig_layout(self) -> mig_documents.MigLayout:
        """The MIG instances that there are, as a layout file too."""
        return self._one(mig_documents.MigLayout, "GET", "mig")

    def plan_mig(self, request: mig_documents.MigLayoutRequest) -> mig_documents.MigPlan:
        """What a layout would change, and what is in the way; nothing is changed."""
        body = request.model_dump(mode="json")
        return self._one(mig_documents.MigPlan, "POST", "mig/plan", body=body)

    def apply_mig(self, request: mig_documents.MigLayoutRequest) -> models.Operation:
        """Begin to bring the machine to a layout; `wait` for the operation to end."""
        body = request.model_dump(mode="json")
        return self._one(models.Operation, "POST", "mig/apply", body=body)

    # ---- operations ------------------------------------------------------------------------

    def operations(self) -> list[models.Operation]:
        """One's long work, newest first."""
        return self._many(models.Operation, "operations")

    def operation(self, operation_id: str) -> models.Operation:
        """Where one piece of long work stands."""
        return self._one(models.Operation, "GET", f"operations/{part(operation_id)}")

    def cancel_operation(self, operation_id: str) -> models.Operation:
        """Ask an operation to stop; it ends a little later, see `wait`."""
        return self._one(models.Operation, "DELETE", f"operations/{part(operation_id)}")

    def events(
        self, operation_id: str, after: int = 0, *, patience: float = 120.0
    ) -> Iterator[models.OperationEvent]:
        """What an operation tells, from the event after `after` until the operation has ended.

        A broken connection is taken up again where it broke; the iterator raises `ClientError`
        with code `server_unreachable` after `patience` seconds without the server. The last event
        is the one of the final state.
        """
        from ds01_jupyter.event_stream import follow

        return follow(self._http, self, operation_id, after=after, patience=patience)

    def wait(
        self,
        operation: models.Operation | str,
        on_event: Callable[[models.OperationEvent], None] | None = None,
    ) -> models.Operation:
        """Follow an operation to its end and return it; its `state` says how it went."""
        operation_id = operation if isinstance(operation, str) else operation.id
        for event in self.events(operation_id):
            if on_event is not None:
                on_event(event)
        # The final event may be out a moment before the operation's document is.
        for _ in range(50):
            ended = self.operation(operation_id)
            if ended.state in FINAL:
                break
            time.sleep(0.1)
        return ended
