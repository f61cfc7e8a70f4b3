"""Whose certificate an https server may show. Verification is never turned off."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.discovery import Server

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def certificates(server: Server) -> ssl.SSLContext:
    """What the connection is verified against.

    DS01_CA_BUNDLE or SSL_CERT_FILE where they are set; the server's own certificate where its
    ticket names it; else the authorities of the system. Raises `ClientError` for a file that
    cannot be read.
    """
    bundle = os.environ.get("DS01_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if not bundle and server.certificate:
        return _pinned(Path(server.certificate))
    try:
        return ssl.create_default_context(cafile=bundle or None)
    except OSError as error:
        raise _unreadable(bundle or "", error) from error


def _pinned(path: Path) -> ssl.SSLContext:
    """Nothing but the server's own certificate is accepted, and that under any name.

    Such a server is mostly reached as 127.0.0.1, which its certificate does not name. The other
    certificates of the file belong to authorities, who sign for others too: they do not count.
    """
    try:
        text = path.read_text(encoding="ascii")
        own = f"{BEGIN}{text.split(BEGIN, 1)[1].split(END, 1)[0]}{END}\n"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=own)
    except (OSError, ValueError, IndexError) as error:
        raise _unreadable(str(path), error) from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context


def _unreadable(path: str, error: Exception) -> ClientError:
    return ClientError(
        f"The certificates in {path} cannot be read: {error}.",
        hint="DS01_CA_BUNDLE (or SSL_CERT_FILE) must name a file with PEM certificates.",
        code="certificate_not_trusted",
    )
