"""What a server's answer means when it is not the document that was asked for."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.discovery import Server

FINAL = frozenset({"succeeded", "failed", "cancelled", "interrupted"})
"""States in which an operation has ended."""


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


def strange(what: str) -> ClientError:
    """The refusal of an answer that no server of this version gives."""
    return ClientError(
        f"The server's answer was not understood ({what}).",
        hint="The server may run another version of ds01-jupyter: restart it and this kernel.",
        code="bad_answer",
    )


def part(name: str) -> str:
    """One segment of a path: a name may hold anything, and must not leave its place.

    Raises `ClientError` for what no URL can carry as a segment.
    """
    if not name or name in (".", ".."):
        raise ClientError(f"{name!r} is not a name.", code="invalid_input")
    return quote(name, safe="")
