"""`image ...`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.create import GUIDE_IMAGE, image_step
from ds01_jupyter.commands.requests import image_request
from ds01_jupyter.commands.work import Work
from ds01_jupyter.render import Note, View, views


def create(context: Context, arguments: Namespace) -> Any:
    """`image create NAME --framework F ...`."""
    if not arguments.name or not arguments.framework:
        return context.wizard("image", arguments)
    request = image_request(arguments, arguments.name)
    if arguments.preview:
        return views.dockerfile(context.client().preview_dockerfile(request))
    if arguments.guided:
        context.say(GUIDE_IMAGE)
    return context.follow(Work(context.client(), [image_step(request)]), arguments)


def listing(context: Context, _: Namespace) -> View:
    """`image list`."""
    return views.images(context.client().images(), prog=context.prog)


def show(context: Context, arguments: Namespace) -> View:
    """`image show NAME`."""
    return views.image(context.client().image(arguments.name))


def dockerfile(context: Context, arguments: Namespace) -> View:
    """`image dockerfile NAME`."""
    return views.dockerfile(context.client().image_dockerfile(arguments.name))


def remove(context: Context, arguments: Namespace) -> View:
    """`image remove NAME`."""
    name = arguments.name
    client = context.client()
    if not arguments.yes:
        client.image(name)
        context.confirm(f"Remove the image {name}?", f"image remove {name} --yes")
    client.remove_image(name)
    return View(Note(f"Image {name} is removed; its Dockerfile stays.", "good"))
