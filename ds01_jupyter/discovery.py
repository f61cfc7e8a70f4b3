"""Finding the Jupyter server that answers for this kernel, terminal or script.

Nothing is guessed among several servers, and nothing is sent to a server that the secret was not
made for: a token belongs to the URL that stands beside it. The files are read as JSON here,
since importing jupyter_server would take a second.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from ds01_jupyter.client_error import ClientError

MAX_FILE = 64 * 1024
START_ONE = "Start one with `jupyter lab`, or name it with DS01_SERVER_URL or `ds01 --server URL`."


@dataclass(frozen=True)
class Server:
    """A server and the right to speak to it.

    `url` is its base URL and ends with a slash; `authorization` is the value of that header, ""
    where there is none; `source` says for a person where this was found. `certificate` is the
    file of an https server's own certificate where its ticket names it, "" otherwise.
    """

    url: str
    authorization: str
    source: str
    certificate: str = ""

    def __repr__(self) -> str:
        """Without the secret, which must not end up in a notebook's output."""
        return f"Server(url={self.url!r}, source={self.source!r})"


def discover(
    url: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    runtime_dir: Path | None = None,
) -> Server:
    """Find the server: the named one, the one that started us, or the only one that lives.

    Raises `ClientError` with code `no_server` or `several_servers`, both saying what to do.
    """
    environ = os.environ if environ is None else environ
    folder = RuntimeFolder(runtime_dir or _runtime_dir(environ))
    wanted = url or environ.get("DS01_SERVER_URL", "")
    if wanted:
        return _named(wanted, environ, folder)
    started_us = _parent(environ, folder) or _hub(environ) or _terminal(environ, folder)
    return started_us or _only(folder)


class RuntimeFolder:
    """Jupyter's runtime directory: tickets `ds01-PID.json` and servers `jpserver-PID.json`.

    Only files are believed that are ours and that nobody else can read; the others are listed in
    `ignored` with the reason.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ignored: list[str] = []

    def ticket(self, pid: int) -> Server | None:
        """The extension's own ticket of the server `pid`."""
        found = self._read(self.path / f"ds01-{pid}.json", pid)
        if found is None or not _text(found, "url") or not _text(found, "secret"):
            return None
        return Server(
            base_url(_text(found, "url")),
            f"ds01 {_text(found, 'secret')}",
            f"ticket of {pid}",
            _text(found, "certificate"),
        )

    def jupyter_server(self, pid: int) -> Server | None:
        """The server `pid` with its token; None without a token (a password, say)."""
        found = self._read(self.path / f"jpserver-{pid}.json", pid)
        if found is None or not _text(found, "url") or not _text(found, "token"):
            return None
        return Server(
            base_url(_text(found, "url")), f"token {_text(found, 'token')}", f"Jupyter server {pid}"
        )

    def tickets(self) -> list[Server]:
        """Of all live servers with the extension."""
        found = (self.ticket(pid) for pid in self._pids("ds01"))
        return [server for server in found if server]

    def jupyter_servers(self) -> list[Server]:
        """All live servers with a token."""
        found = (self.jupyter_server(pid) for pid in self._pids("jpserver"))
        return [server for server in found if server]

    def for_url(self, url: str) -> Server | None:
        """What is known about exactly this URL."""
        for server in (*self.tickets(), *self.jupyter_servers()):
            if same_server(server.url, url):
                return server
        return None

    def _pids(self, prefix: str) -> list[int]:
        try:
            names = sorted(entry.name for entry in self.path.iterdir())
        except OSError:
            return []
        digits = (
            name.removeprefix(f"{prefix}-").removesuffix(".json")
            for name in names
            if name.startswith(f"{prefix}-") and name.endswith(".json")
        )
        return [int(text) for text in digits if text.isascii() and text.isdigit()]

    def _read(self, path: Path, pid: int) -> dict[str, Any] | None:
        if not _alive(pid):
            return None
        try:
            return read_private(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self.ignored.append(f"{path}: {error}")
            return None


def read_private(path: Path) -> dict[str, Any]:
    """A JSON object from a file that is ours and that nobody else can read.

    Raises `FileNotFoundError`, `PermissionError` with the reason, or `ValueError`.
    """
    # O_NONBLOCK: a pipe of that name must not hold us up.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise PermissionError("ignored, because it is not a plain file")
        if facts.st_uid != os.geteuid():
            raise PermissionError("ignored, because it belongs to another account")
        if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PermissionError("ignored, because others can read it (chmod 600 mends that)")
        document = json.loads(file.read(MAX_FILE))
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document


def base_url(text: str) -> str:
    """A server's base URL: no query, exactly one slash at the end.

    Raises `ClientError` for anything but http and https.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClientError(
            f"{text!r} is not the address of a Jupyter server.",
            hint="It looks like http://127.0.0.1:8888/ (DS01_SERVER_URL or `ds01 --server URL`).",
            code="invalid_input",
        )
    path = parts.path.rstrip("/") + "/"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def same_server(one: str, other: str) -> bool:
    """Whether two base URLs mean the same server (loopback has several names)."""

    def key(url: str) -> tuple[str, str, int | None, str]:
        parts = urlsplit(base_url(url))
        host = (parts.hostname or "").lower()
        host = "127.0.0.1" if host in ("localhost", "::1") else host
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return parts.scheme, host, port, parts.path

    return key(one) == key(other)


def _named(text: str, environ: Mapping[str, str], folder: RuntimeFolder) -> Server:
    pasted = _pasted(text)
    if pasted:
        return pasted
    url = base_url(text)
    ticket_file = environ.get("DS01_TICKET_FILE", "")
    from_environment = environ.get("DS01_SERVER_URL", "")
    if ticket_file and from_environment and same_server(url, from_environment):
        ticket = _ticket(Path(ticket_file))
        secret, certificate = _text(ticket, "secret"), _text(ticket, "certificate")
        return Server(url, f"ds01 {secret}", f"ticket {ticket_file}", certificate)
    for known in (folder.for_url(url), _hub(environ), _terminal(environ, folder)):
        if known and same_server(known.url, url):
            return known
    return Server(url, "", "the URL given")


def _pasted(text: str) -> Server | None:
    """The address that Jupyter prints, with its `?token=`."""
    parts = urlsplit(text)
    token = parse_qs(parts.query).get("token", [""])[0]
    if not token:
        return None
    path = parts.path.rstrip("/")
    for page in ("/lab", "/tree"):
        path = path.removesuffix(page)
    url = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    return Server(base_url(url), f"token {token}", "the URL given")


def _ticket(path: Path) -> dict[str, Any]:
    try:
        ticket = read_private(path)
    except (OSError, ValueError) as error:
        raise ClientError(
            f"The ticket {path} cannot be used: {error}.",
            hint="DS01_TICKET_FILE must name a file of yours with mode 600.",
            code="no_server",
        ) from error
    if not _text(ticket, "secret"):
        raise ClientError(f"The ticket {path} holds no secret.", code="no_server")
    return ticket


def _parent(environ: Mapping[str, str], folder: RuntimeFolder) -> Server | None:
    text = environ.get("JPY_PARENT_PID", "")
    if not (text.isascii() and text.isdigit()):
        return None
    return folder.ticket(int(text)) or folder.jupyter_server(int(text))


def _hub(environ: Mapping[str, str]) -> Server | None:
    url, token = environ.get("JUPYTERHUB_SERVICE_URL", ""), environ.get("JUPYTERHUB_API_TOKEN", "")
    if not url or not token:
        return None
    parts = urlsplit(url)
    prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX", "/")
    path = parts.path if parts.path.strip("/") else prefix
    # A server that listens on every address is reached on this one.
    host = "127.0.0.1" if parts.hostname in ("0.0.0.0", "::", None) else parts.hostname  # noqa: S104
    netloc = f"{host}:{parts.port}" if parts.port else host
    whole = urlunsplit((parts.scheme, netloc, path, "", ""))
    return Server(base_url(whole), f"token {token}", "JupyterHub")


def _terminal(environ: Mapping[str, str], folder: RuntimeFolder) -> Server | None:
    """A terminal of Jupyter names its server; the secret is in a file, or in the environment."""
    url = environ.get("JUPYTER_SERVER_URL", "")
    if not url:
        return None
    known = folder.for_url(url)
    if known:
        return known
    token = environ.get("JUPYTER_TOKEN", "")
    return Server(base_url(url), f"token {token}", "JUPYTER_SERVER_URL") if token else None


def _only(folder: RuntimeFolder) -> Server:
    for servers in (folder.tickets(), folder.jupyter_servers()):
        if len(servers) == 1:
            return servers[0]
        if servers:
            raise _several(servers)
    why = f" ({'; '.join(folder.ignored)})" if folder.ignored else ""
    raise ClientError(
        f"No running Jupyter server was found{why}.",
        hint=START_ONE,
        code="no_server",
        details={"runtime_dir": str(folder.path), "ignored": folder.ignored},
    )


def _several(servers: list[Server]) -> ClientError:
    urls = [server.url for server in servers]
    return ClientError(
        f"{len(urls)} Jupyter servers run here, so it is not clear which one is meant: "
        f"{', '.join(urls)}.",
        hint=f"Choose one: `ds01 --server {urls[0]} ...`, or set DS01_SERVER_URL={urls[0]}",
        code="several_servers",
        details={"servers": urls},
    )


def _runtime_dir(environ: Mapping[str, str]) -> Path:
    if environ.get("JUPYTER_RUNTIME_DIR"):
        return Path(environ["JUPYTER_RUNTIME_DIR"])
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(jupyter_runtime_dir())


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _alive(pid: int) -> bool:
    """Whether our own process `pid` lives: after `kill -9` a server's files stay behind."""
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        # EPERM: it lives, but it is somebody else's, so the number was given out again.
        return False
    return pid > 0
