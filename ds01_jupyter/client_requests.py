"""Requests to one server, and their answers as documents."""

from __future__ import annotations

from typing import Any, Self, TypeVar

import httpx
from pydantic import ValidationError

from ds01_jupyter._version import __version__
from ds01_jupyter.client_answers import refusal, strange, unreachable
from ds01_jupyter.core import models
from ds01_jupyter.discovery import Server
from ds01_jupyter.trust import certificates

D = TypeVar("D", bound=models.Document)


class _Connections(httpx.HTTPTransport):
    """Connections that are all closed when the client is.

    A thread that was just connecting when another one closed the client would be left with a
    connection that nobody closes: httpcore has forgotten it by then.
    """

    _closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, unless the client is closed meanwhile; then it is `httpx.ReadError`."""
        response = super().handle_request(request)
        if self._closed:
            response.close()
            response.extensions["network_stream"].close()
            raise httpx.ReadError("The client was closed.", request=request)
        return response

    def close(self) -> None:
        """Close all, those that are just being made as soon as they are."""
        self._closed = True
        super().close()


class Requests:
    """One connection to one server. Every method raises `ClientError`.

    `timeout` is in seconds and holds for every request; event streams have their own. May be used
    from several threads.
    """

    def __init__(self, server: Server, *, timeout: float = 30.0) -> None:
        self.server = server
        headers = {"User-Agent": f"ds01-jupyter/{__version__}", "Accept": "application/json"}
        if server.authorization:
            headers["Authorization"] = server.authorization
        verify = certificates(server) if server.url.startswith("https:") else False
        # A proxy of the environment must neither see the secret nor swallow loopback; a .netrc
        # must not replace it.
        self._http = httpx.Client(
            base_url=f"{server.url}ds01/api/",
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            transport=_Connections(verify=verify, trust_env=False),
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one(self, kind: type[D], method: str, path: str, **request: Any) -> D:
        return self._parse(kind, self._send(method, path, **request))

    def _many(self, kind: type[D], path: str, method: str = "GET", **request: Any) -> list[D]:
        answer = self._send(method, path, **request)
        if not isinstance(answer, list):
            raise strange(f"a list was expected, {type(answer).__name__} came")
        return [self._parse(kind, item) for item in answer]

    def _parse(self, kind: type[D], answer: Any) -> D:
        try:
            return kind.model_validate(answer)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise strange(f"{kind.__name__}.{where}: {first['msg']}") from error

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
                raise strange("the answer is not JSON") from None
        raise refusal(response, self.server)
