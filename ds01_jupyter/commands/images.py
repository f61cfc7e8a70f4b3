"""`image ...`: build, look, share, remove. What changes an image is in `image_updates`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.create import GUIDE_IMAGE, image_step
from ds01_jupyter.commands.image_change import hopeless, request_of
from ds01_jupyter.commands.image_files import take_files
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.requests import checked, image_request
from ds01_jupyter.commands.work import Work
from ds01_jupyter.core import models
from ds01_jupyter.render import Note, View, image_views, resolution_views


def create(context: Context, arguments: Namespace) -> Any:
    """`image create NAME --framework F ... [--from FILE]`."""
    take_files(context, arguments)
    if not arguments.name or not arguments.framework:
        return context.wizard("image", arguments)
    request = image_request(arguments, arguments.name)
    if arguments.preview:
        return image_views.dockerfile(context.client().preview_dockerfile(request))
    if arguments.guided:
        context.say(GUIDE_IMAGE)
    if arguments.check and (refused := refused_first(context, request)):
        return refused
    return context.follow(Work(context.client(), [image_step(request)]), arguments)


def refused_first(context: Context, request: models.ImageRequest) -> View | None:
    """Show what would be installed; what is shown of it when it cannot be built, and is not."""
    resolution = context.client().resolve_image(request)
    view = resolution_views.resolution(resolution)
    if hopeless(resolution):
        context.failed = True
        return view
    context.show(view)
    return None


def resolve(context: Context, arguments: Namespace) -> View:
    """`image resolve NAME` or `image resolve --framework F ...`."""
    take_files(context, arguments)
    client = context.client()
    if arguments.framework:
        # Nothing is built: any name does for asking.
        request = image_request(arguments, arguments.name or "image")
    elif arguments.name:
        if any((arguments.use_case, arguments.pip, arguments.apt, arguments.base)):
            raise UsageProblem(
                f"Of {arguments.name} it is told what its own packages come to; options describe "
                "another image.",
                hint=f"{context.command(f'image update {arguments.name}')} changes it; with "
                "--framework the options describe a new one.",
            )
        image = client.image(arguments.name)
        request = request_of(image, client.catalogue().frameworks)
    else:
        raise UsageProblem(
            "What should be looked at?",
            hint=f"{context.command('image resolve NAME')}, or options as for a new image: "
            f"{context.command('image resolve --framework Pytorch --pip einops')}.",
        )
    resolution = client.resolve_image(request)
    context.failed = not resolution.ok
    return resolution_views.resolution(resolution, everything=arguments.all)


def listing(context: Context, _: Namespace) -> View:
    """`image list`."""
    return image_views.images(context.client().images(), prog=context.prog)


def show(context: Context, arguments: Namespace) -> View:
    """`image show NAME`."""
    document = context.client().image(arguments.name)
    return image_views.image(document, prog=context.prog, everything=arguments.all)


def dockerfile(context: Context, arguments: Namespace) -> View:
    """`image dockerfile NAME`."""
    return image_views.dockerfile(context.client().image_dockerfile(arguments.name))


def share(context: Context, arguments: Namespace) -> View:
    """`image share NAME --user U | --group G`."""
    who = _one_of(context, arguments)
    document = context.client().share_image(arguments.name, arguments.user, arguments.group)
    start = f"container create NAME --image {document.reference}"
    text = f"{who} can start containers from it: {context.command(start)}."
    return View(Note(text, "good"), data=document)


def unshare(context: Context, arguments: Namespace) -> View:
    """`image unshare NAME --user U | --group G`."""
    who = _one_of(context, arguments)
    document = context.client().unshare_image(arguments.name, arguments.user, arguments.group)
    text = f"{arguments.name} is not shared with {who} any more; containers made from it go on."
    return View(Note(text, "good"), data=document)


def remove(context: Context, arguments: Namespace) -> View:
    """`image remove NAME`."""
    name = arguments.name
    client = context.client()
    if not arguments.yes:
        client.image(name)
        context.confirm(f"Remove the image {name}?", f"image remove {name} --yes")
    client.remove_image(name)
    return View(Note(f"Image {name} is removed; its Dockerfile stays.", "good"))


def prune(context: Context, arguments: Namespace) -> View:
    """`image prune [--days N] [--all] [--yes]`: tells first, asks, then removes."""
    request = checked(
        lambda: models.ImagePruneRequest(days=arguments.days, everybody=arguments.all)
    )
    client = context.client()
    found = client.prune_images(request)
    if found and not arguments.yes:
        context.show(resolution_views.pruned(found, done=False))
        options = f"--days {arguments.days:g}" + (" --all" if arguments.all else "")
        question = f"Remove {'this' if len(found) == 1 else f'these {len(found)}'}?"
        context.confirm(question, f"image prune {options} --yes")
    if found:
        found = client.prune_images(request.model_copy(update={"dry_run": False}))
    return resolution_views.pruned(found, done=True)


def _one_of(context: Context, arguments: Namespace) -> str:
    """With whom, in words; exactly one of the two options."""
    if (arguments.user is None) == (arguments.group is None):
        raise UsageProblem(
            "It is shared with a user (--user) or a group (--group), one at a time.",
            hint=f"For example {context.command(f'image share {arguments.name} --user ada')}.",
        )
    return str(arguments.user or f"The group {arguments.group}")
