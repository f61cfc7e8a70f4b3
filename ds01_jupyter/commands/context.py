"""What a command needs from the place that it runs in: a terminal or a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from ds01_jupyter.client_error import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ds01_jupyter.client import Client
    from ds01_jupyter.commands.work import Work
    from ds01_jupyter.render import View

WizardKind = Literal["create", "image", "container", "update"]


class Context(ABC):
    """The place where commands run. `prog` is how a person calls us there: `ds01`, `%ds01`."""

    prog = "ds01"
    failed = False
    """Whether the last answer, though given, is bad news: a command then ends with status 1."""
    time_told = False
    """Whether the last answer says itself what will soon happen to one's containers."""

    def __init__(self, server: str | None = None) -> None:
        self.server = server
        self._client: Client | None = None

    def client(self) -> Client:
        """The client, made when it is first needed."""
        if self._client is None:
            from ds01_jupyter.client import Client

            self._client = Client.discover(self.server)
        return self._client

    @property
    def connected(self) -> bool:
        """Whether a command has spoken to the server."""
        return self._client is not None

    def forget_client(self) -> None:
        """Look for the server again next time: it may have been restarted elsewhere."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def command(self, words: str) -> str:
        """A command as a person types it here, in backquotes."""
        return f"`{self.prog} {words}`"

    @abstractmethod
    def confirm(self, question: str, command: str) -> None:
        """Go on only when the person says yes; raises `ClientError` otherwise.

        `command` is what to type to do it without being asked.
        """

    @abstractmethod
    def wizard(self, kind: WizardKind, arguments: Any) -> Any:
        """Ask for what is missing, step by step, and do it."""

    @abstractmethod
    def follow(self, work: Work, arguments: Any) -> Any:
        """Show long work while it runs; what is returned is the command's answer."""

    @abstractmethod
    def watch(self, pictures: Iterator[View]) -> Any:
        """Show the GPUs as they change, each picture in place of the one before; answers with what
        is still to be shown then. A notebook has a widget for it and leaves `pictures` alone."""

    @abstractmethod
    def show(self, view: View) -> None:
        """Show something on the way to the answer."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Explain something on the way (`--guided`)."""


def declined() -> ClientError:
    """The person said no."""
    return ClientError("Nothing was changed.", code="declined")
