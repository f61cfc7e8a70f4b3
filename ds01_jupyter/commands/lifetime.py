"""The time of containers: putting an idle stop off, and what was warned of and done."""

from __future__ import annotations

from argparse import Namespace

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.requests import checked
from ds01_jupyter.core.models import KeepAliveRequest
from ds01_jupyter.render import View

LOOK = 2.0
"""Seconds that a look for something near may take, at the end of another command."""


def keep_alive(context: Context, arguments: Namespace) -> View:
    """`container keep-alive NAME [--hours N]`."""
    from ds01_jupyter.render import life_views

    checked(lambda: KeepAliveRequest(hours=arguments.hours))
    document = context.client().keep_alive(arguments.name, hours=arguments.hours)
    context.time_told = True
    return life_views.kept_alive(document)


def notices(context: Context, _: Namespace) -> View:
    """`notices`."""
    from ds01_jupyter.render import notice_views

    documents = context.client().notices()
    context.time_told = True
    return notice_views.notices(documents, context.prog)


def near(context: Context) -> str:
    """One line on what will soon happen to one's containers, for the end of another command.

    Empty when nothing is near, when the answer said so itself, or when the command had nothing to
    ask the server. It keeps nobody waiting: a server that does not answer soon is not asked again.
    """
    if context.time_told or not context.connected:
        return ""
    from ds01_jupyter.client import Client
    from ds01_jupyter.render.life_views import near_line

    try:
        with Client(context.client().server, timeout=LOOK) as client:
            return near_line(client.containers(), context.prog)
    except ClientError:
        # The command itself is done and has been answered; the next one will say what is wrong.
        return ""
