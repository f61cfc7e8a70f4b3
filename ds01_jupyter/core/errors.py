"""Every way in which the core says no.

An error carries what a person needs: one clear sentence, what to do next, and the figures behind
it. The handlers map `status` and `code` to HTTP in one place; nothing else knows about HTTP.
"""

from __future__ import annotations

from typing import Any


class CoreError(Exception):
    """Base of all refusals.

    `message` is one sentence for a person, `hint` says what to do next, `details` holds the
    figures (JSON values only).
    """

    status = 500
    code = "internal_error"

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def document(self) -> dict[str, Any]:
        """The JSON form: `code`, `message`, `hint`, `details`."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "details": self.details,
        }


class InvalidInput(CoreError):
    """What was asked for cannot be meant: a bad name, an unknown package syntax, a bad path."""

    status, code = 400, "invalid_input"


class Forbidden(CoreError):
    """It exists, but it is not this person's to use."""

    status, code = 403, "forbidden"


class NotFound(CoreError):
    """There is no such image, container, framework, version or operation."""

    status, code = 404, "not_found"


class Conflict(CoreError):
    """It clashes with what is there: the name is taken, the container is running."""

    status, code = 409, "conflict"


class DockerfileEdited(Conflict):
    """The stored Dockerfile was changed by hand (or is not ours) and would be overwritten."""

    code = "dockerfile_edited"


class LimitReached(CoreError):
    """A limit of `resource-limits.yaml` would be exceeded."""

    status, code = 409, "limit_reached"


class NoFreeSlot(CoreError):
    """No GPU slot fits the request now."""

    status, code = 409, "no_free_slot"


class ConfigurationError(CoreError):
    """A file that an admin wrote has a mistake; nothing laxer is used in its place."""

    status, code = 500, "configuration_error"


class BuildFailed(CoreError):
    """The image build stopped; `details` names the step and the last lines of its log."""

    status, code = 422, "build_failed"


class Cancelled(CoreError):
    """A person cancelled the operation."""

    status, code = 409, "cancelled"


class EngineUnavailable(CoreError):
    """Docker does not answer."""

    status, code = 503, "docker_unavailable"


class DriverUnavailable(CoreError):
    """There is no NVIDIA driver, or it does not answer."""

    status, code = 503, "driver_unavailable"


class DriverFailed(CoreError):
    """The NVIDIA driver refused or broke off a change; `details` say what is there now."""

    status, code = 502, "driver_error"


class LedgerUnavailable(CoreError):
    """The ledger is damaged or cannot be written: refuse rather than guess."""

    status, code = 503, "ledger_unavailable"


class LedgerDamaged(LedgerUnavailable):
    """What stands in the file cannot be what was written: it is to be built anew."""


class RegistryUnavailable(CoreError):
    """The image could not be pulled."""

    status, code = 502, "registry_unavailable"


class EngineFailed(CoreError):
    """Docker answered with an error that is nobody's mistake here."""

    status, code = 502, "docker_error"


class DiskFull(CoreError):
    """There is no space left for what was asked."""

    status, code = 507, "disk_full"


class ShuttingDown(CoreError):
    """The server is about to stop and begins nothing new."""

    status, code = 503, "shutting_down"
