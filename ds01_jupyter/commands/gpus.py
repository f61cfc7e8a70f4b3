"""`gpus`: the map of slots, now, live, over the last hour; and cordons for admins."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.render import View

if TYPE_CHECKING:
    from ds01_jupyter.client import Client


def show(context: Context, arguments: Namespace) -> Any:
    """`gpus [--watch | --history]`."""
    from ds01_jupyter.render import gpu_views, machine_views

    watching, past = getattr(arguments, "watch", False), getattr(arguments, "history", False)
    if watching and past:
        raise UsageProblem(
            "--watch and --history do not go together.", hint="Give one of them at a time."
        )
    if watching and arguments.json:
        raise UsageProblem(
            "--watch does not go with --json.",
            hint="The documents are streamed by the API, at ds01/api/gpus/stream.",
        )
    client = context.client()
    if past:
        return gpu_views.history(client.gpu_history())
    if not watching:
        return machine_views.gpus(client.gpus(), client.about().user)
    return context.watch(_pictures(client))


def _pictures(client: Client) -> Iterator[View]:
    from ds01_jupyter.render import machine_views

    user = client.about().user
    for snapshot in client.gpu_events():
        yield machine_views.gpus(snapshot, user)


def cordon(context: Context, arguments: Namespace) -> View:
    """`gpus cordon GPU --reason TEXT`."""
    from ds01_jupyter.render import machine_views

    client = context.client()
    snapshot = client.cordon_gpu(arguments.gpu, arguments.reason)
    return machine_views.gpus(snapshot, client.about().user)


def uncordon(context: Context, arguments: Namespace) -> View:
    """`gpus uncordon GPU`."""
    from ds01_jupyter.render import machine_views

    client = context.client()
    snapshot = client.uncordon_gpu(arguments.gpu)
    return machine_views.gpus(snapshot, client.about().user)
