"""The ticket: how a kernel reaches its own server when there is no token to read.

A server with a password (or a login of its own) has no token that a kernel could use. So the
extension writes a file that only the server's owner can read, with a secret that opens the
extension's own routes and nothing else, and takes it away when it stops.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_core.paths import secure_write

SCHEME = "ds01"


def ticket_path(runtime_dir: str | Path, pid: int) -> Path:
    """Where the server with this process id leaves its ticket."""
    return Path(runtime_dir) / f"ds01-{pid}.json"


@dataclass(frozen=True)
class Ticket:
    """A secret for `url` (the server's base URL), good for the life of one server process.

    `certificate` is the file of the server's own certificate, against which a client may verify
    it; empty when the server speaks plain HTTP.
    """

    url: str
    certificate: str = ""
    pid: int = field(default_factory=os.getpid)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def admits(self, authorization: str | None) -> bool:
        """Whether an Authorization header shows this ticket; takes the same time for any."""
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != SCHEME:
            return False
        return hmac.compare_digest(secret.strip().encode(), self.secret.encode())

    def write(self, runtime_dir: str | Path) -> Path:
        """Write the file, readable by its owner alone; returns its path. Raises OSError."""
        path = ticket_path(runtime_dir, self.pid)
        document = {
            "url": self.url,
            "secret": self.secret,
            "pid": self.pid,
            "certificate": self.certificate,
        }
        # An old file of a dead server with this pid: secure_write keeps the mode of what it finds.
        path.unlink(missing_ok=True)
        with secure_write(str(path)) as file:
            json.dump(document, file)
        return path
