"""The one way to the lab from a kernel or a terminal: REST and server-sent events.

The methods mirror the API one to one and return its documents (`core.models`). This module pulls
httpx and pydantic in, so it is imported when it is needed and not with `ds01_jupyter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from ds01_jupyter._version import __version__
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core import mig_documents, models
from ds01_jupyter.discovery import Server, discover
from ds01_jupyter.trust import certificates

__all__ = ["FINAL", "Client", "ClientError"]

FINAL = frozenset({"succeeded", "failed", "cancelled", "interrupted"})
"""States in which an operation has ended."""
HEARTBEAT = 45.0
"""Seconds of silence after which an event stream is taken for dead (the server speaks every 15)."""
D = TypeVar("D", bound=models.Document)


class Client:
    """Speaks to the ds01 extension of one Jupyter server.

    `timeout` is in seconds and holds for every request; event streams have their own. May be used
    from several threads. Every method raises `ClientError`.
    """

    def __init__(self, server: Server, *, timeout: float = 30.0) -> None:
        self.server = server
        headers = {"User-Agent": f"ds01-jupyter/{__version__}", "Accept": "application/json"}
        if server.authorization:
            headers["Authorization"] = server.authorization
        self._http = httpx.Client(
            base_url=f"{server.url}ds01/api/",
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            verify=certificates(server) if server.url.startswith("https:") else False,
            # A proxy of the environment must neither see the secret nor swallow loopback; a
            # .netrc must not replace it.
            trust_env=False,
        )

    @classmethod
    def discover(cls, url: str | None = None, *, timeout: float = 30.0) -> Client:
        """A client for the server that `discovery.discover` finds."""
        return cls(discover(url), timeout=timeout)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        return self._one(models.GpuSnapshot, "POST", f"gpus/{_part(gpu)}/cordon", body=body)

    def uncordon_gpu(self, gpu: str) -> models.GpuSnapshot:
        """Give a GPU back that was cordoned; for admins."""
        return self._one(models.GpuSnapshot, "POST", f"gpus/{_part(gpu)}/uncordon")

    # ---- images ----------------------------------------------------------------------------

    def images(self) -> list[models.Image]:
        """One's own images and the others on the machine."""
        return self._many(models.Image, "images")

    def image(self, name: str) -> models.Image:
        """One image of one's own."""
        return self._one(models.Image, "GET", f"images/{_part(name)}")

    def create_image(self, request: models.ImageRequest) -> models.Operation:
        """Begin to build an image; `wait` for the operation to end."""
        return self._one(models.Operation, "POST", "images", body=request.model_dump(mode="json"))

    def remove_image(self, name: str) -> None:
        """Remove an image of one's own."""
        self._send("DELETE", f"images/{_part(name)}")

    def image_dockerfile(self, name: str) -> models.DockerfilePreview:
        """The Dockerfile that an image was built from."""
        return self._one(models.DockerfilePreview, "GET", f"images/{_part(name)}/dockerfile")

    def preview_dockerfile(self, request: models.ImageRequest) -> models.DockerfilePreview:
        """The Dockerfile as it would be built; nothing is written."""
        body = request.model_dump(mode="json")
        return self._one(models.DockerfilePreview, "POST", "dockerfile", body=body)

    # ---- containers ------------------------------------------------------------------------

    def containers(self, all: bool = False) -> list[models.Container]:  # noqa: A002
        """One's own containers, or everybody's."""
        return self._many(models.Container, "containers", params={"all": "true"} if all else {})

    def container(self, name: str) -> models.Container:
        """One container, with its limits."""
        return self._one(models.Container, "GET", f"containers/{_part(name)}")

    def create_container(self, request: models.ContainerRequest) -> models.Operation:
        """Begin to create a container; `wait` for the operation to end."""
        return self._one(
            models.Operation, "POST", "containers", body=request.model_dump(mode="json")
        )

    def start_container(self, name: str) -> models.Container:
        """Start a stopped container."""
        return self._one(models.Container, "POST", f"containers/{_part(name)}/start")

    def stop_container(self, name: str) -> models.Container:
        """Stop a running container; its files stay."""
        return self._one(models.Container, "POST", f"containers/{_part(name)}/stop")

    def remove_container(self, name: str) -> None:
        """Remove a stopped container and free its slots; the workspace stays."""
        self._send("DELETE", f"containers/{_part(name)}")

    def container_logs(self, name: str, tail: int = 200) -> models.Logs:
        """The last `tail` lines of a container's output."""
        return self._one(
            models.Logs, "GET", f"containers/{_part(name)}/logs", params={"tail": tail}
        )

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
        return self._one(models.Operation, "GET", f"operations/{_part(operation_id)}")

    def cancel_operation(self, operation_id: str) -> models.Operation:
        """Ask an operation to stop; it ends a little later, see `wait`."""
        return self._one(models.Operation, "DELETE", f"operations/{_part(operation_id)}")

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

    # ---- requests --------------------------------------------------------------------------

    def _one(self, kind: type[D], method: str, path: str, **request: Any) -> D:
        return self._parse(kind, self._send(method, path, **request))

    def _many(self, kind: type[D], path: str, **request: Any) -> list[D]:
        answer = self._send("GET", path, **request)
        if not isinstance(answer, list):
            raise _strange(f"a list was expected, {type(answer).__name__} came")
        return [self._parse(kind, item) for item in answer]

    def _parse(self, kind: type[D], answer: Any) -> D:
        try:
            return kind.model_validate(answer)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise _strange(f"{kind.__name__}.{where}: {first['msg']}") from error

    def _send(self, method: str, path: str, *, body: Any = None, params: Any = None) -> Any:
        try:
            response = self._http.request(method, path, json=body, params=params)
        except httpx.TransportError as error:
            raise unreachable(error, self.server) from error
        if response.is_success:
            if not response.content:
                return None
            try:
                return response.json()
            except ValueError:
                raise _strange("the answer is not JSON") from None
        raise refusal(response, self.server)


def unreachable(error: Exception, server: Server) -> ClientError:
    """A plain sentence for a connection that could not be made or that broke."""
    details = {"server": server.url, "error": str(error)}
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return ClientError(
            f"The certificate of {server.url} could not be verified, so nothing was sent.",
            hint="Set DS01_CA_BUNDLE (or SSL_CERT_FILE) to the PEM file of the authority that "
            "signed it, and DS01_SERVER_URL to the name that the certificate is for.",
            code="certificate_not_trusted",
            details=details,
        )
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout | httpx.PoolTimeout):
        message = f"The Jupyter server at {server.url} did not answer in time."
        hint = "It may be busy: try again in a moment; `ds01 operations` shows what still runs."
    else:
        message = f"The Jupyter server at {server.url} cannot be reached."
        hint = "Check that it still runs (`jupyter server list`), or start one with `jupyter lab`."
    return ClientError(message, hint=hint, code="server_unreachable", details=details)


def refusal(response: httpx.Response, server: Server) -> ClientError:
    """The typed refusal behind an answer that is not a success."""
    try:
        document = response.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    status = response.status_code
    if document.get("code") and document.get("message"):
        details = document.get("details")
        return ClientError(
            str(document["message"]),
            hint=str(document.get("hint") or ""),
            code=str(document["code"]),
            status=status,
            details=details if isinstance(details, dict) else {},
        )
    return _foreign_refusal(status, str(document.get("message") or response.reason_phrase), server)


def _foreign_refusal(status: int, said: str, server: Server) -> ClientError:
    """An answer that the extension did not write: Jupyter's own, or a proxy's."""
    details: dict[str, Any] = {"server": server.url, "said": said}
    if status in (301, 302, 401, 403):
        message = f"The Jupyter server at {server.url} did not accept our token."
        hint = (
            "Restart the kernel, so that it finds the server's new token; in a terminal, paste "
            "the address with its token: `ds01 --server 'http://...?token=...'`."
        )
        code = "not_allowed"
    elif status == 404:
        message = f"The Jupyter server at {server.url} does not have the ds01 extension."
        hint = (
            "Install ds01-jupyter where that server runs, then "
            "`jupyter server extension enable ds01_jupyter`, and restart it."
        )
        code = "extension_missing"
    else:
        message = f"The Jupyter server at {server.url} answered with an error ({status}: {said})."
        hint = "The server's log has the reason."
        code = "server_error"
    return ClientError(message, hint=hint, code=code, status=status, details=details)


def _strange(what: str) -> ClientError:
    return ClientError(
        f"The server's answer was not understood ({what}).",
        hint="The server may run another version of ds01-jupyter: restart it and this kernel.",
        code="bad_answer",
    )


def _part(name: str) -> str:
    """One segment of a path: a name may hold anything, and must not leave its place.

    Raises `ClientError` for what no URL can carry as a segment.
    """
    if not name or name in (".", ".."):
        raise ClientError(f"{name!r} is not a name.", code="invalid_input")
    return quote(name, safe="")
