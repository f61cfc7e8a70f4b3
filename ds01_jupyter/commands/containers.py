"""`container ...`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.create import GUIDE_CONTAINER, container_step
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.requests import container_request
from ds01_jupyter.commands.work import Work
from ds01_jupyter.core import models
from ds01_jupyter.render import Note, View, life_views, views


def create(context: Context, arguments: Namespace) -> Any:
    """`container create NAME --image I | --framework F ...`."""
    if arguments.image and arguments.framework:
        raise UsageProblem(
            "A container comes from --image or from --framework, not from both.",
            hint=f"{context.command('container create --help')} explains it.",
        )
    if not arguments.name or not (arguments.image or arguments.framework):
        return context.wizard("container", arguments)
    request = container_request(arguments, arguments.name, arguments.image)
    if arguments.guided:
        context.say(GUIDE_CONTAINER)
    step = container_step(request, wait=arguments.wait)
    return context.follow(Work(context.client(), [step]), arguments)


def listing(context: Context, arguments: Namespace) -> View:
    """`container list [--all]`."""
    documents = context.client().containers(all=arguments.all)
    context.time_told = not arguments.all
    return views.containers(documents, everybody=arguments.all, prog=context.prog)


def show(context: Context, arguments: Namespace) -> View:
    """`container show NAME`."""
    document = context.client().container(arguments.name)
    context.time_told = True
    return views.container(document, context.prog)


def start(context: Context, arguments: Namespace) -> View:
    """`container start NAME`."""
    document = context.client().start_container(arguments.name)
    return moved(document, f"{document.name} runs on {views.slots(document.gpus)}.")


def stop(context: Context, arguments: Namespace) -> View:
    """`container stop NAME`."""
    document = context.client().stop_container(arguments.name)
    name = document.name
    kept = "its workspace is kept"
    if document.gpus:
        until = life_views.gpu_kept_until(document.life)
        kept = f"{kept}, and its GPU slot {until}" if until else f"{kept} and so is its GPU slot"
    again = context.command(f"container start {name}")
    free = (
        f", {context.command(f'container remove {name}')} frees the slot" if document.gpus else ""
    )
    return moved(document, f"{name} is stopped; {kept}. {again} goes on{free}.")


def moved(document: models.Container, text: str) -> View:
    """A container after a change of its state."""
    return View(Note(text, "good"), data=document)


def logs(context: Context, arguments: Namespace) -> View:
    """`container logs NAME [--tail N]`."""
    if arguments.tail < 1:
        raise UsageProblem(f"--tail cannot be {arguments.tail}: it is a number of lines from 1.")
    document = context.client().container_logs(arguments.name, tail=arguments.tail)
    return views.logs(document, arguments.name)


def remove(context: Context, arguments: Namespace) -> View:
    """`container remove NAME`."""
    name = arguments.name
    client = context.client()
    if not arguments.yes:
        document = client.container(name)
        kept = f" Its workspace {document.workspace} stays." if document.workspace else ""
        context.confirm(
            f"Remove the container {name}? Everything outside its workspace goes.{kept}",
            f"container remove {name} --yes",
        )
    client.remove_container(name)
    return View(Note(f"Container {name} is removed and its GPU slots are free again.", "good"))
