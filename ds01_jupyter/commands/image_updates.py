"""`image update`, `builds`, `diff`, `rollback`, and `container recreate`.

Three phases: change the packages or the Dockerfile, build anew, recreate the containers.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.image_change import joined
from ds01_jupyter.commands.image_files import taken
from ds01_jupyter.commands.requests import base_tier, checked, split
from ds01_jupyter.commands.work import Step, Work
from ds01_jupyter.core import models
from ds01_jupyter.render import Note, View, resolution_views

if TYPE_CHECKING:
    from ds01_jupyter.client import Client

OPTIONS = (
    "add", "remove", "add_apt", "remove_apt", "use_case", "files", "base", "version", "recreate",
)  # fmt: skip
STAYS = "Its name, workspace, limits and GPU slot stay; everything outside the workspace goes."


def update(context: Context, arguments: Namespace) -> Any:
    """`image update NAME [options]`; without options it asks."""
    asked = any(getattr(arguments, option) is not None for option in OPTIONS)
    if not (asked or arguments.refresh or arguments.recreate_all) and _default(arguments):
        return context.wizard("update", arguments)
    client = context.client()
    image = client.image(arguments.name)
    changes = changes_of(context, arguments, image)
    return context.follow(Work(client, [update_step(context, image, changes)]), arguments)


def _default(arguments: Namespace) -> bool:
    """Whether nothing was said of the Dockerfile either."""
    return bool(arguments.dockerfile == "update")


def changes_of(
    context: Context, arguments: Namespace, image: models.Image
) -> models.ImageUpdateRequest:
    """The changes that the options describe."""
    add, add_apt = list(arguments.add or []), split(arguments.add_apt)
    for document in taken(context, arguments):
        add = joined(document.pip, add)
        add_apt = list(dict.fromkeys([*document.apt, *add_apt]))
    use_cases = None if arguments.use_case is None else split(arguments.use_case)
    recreate = list(image.containers) if arguments.recreate_all else split(arguments.recreate)
    return checked(
        lambda: models.ImageUpdateRequest(
            add_pip=add,
            remove_pip=split(arguments.remove),
            add_apt=add_apt,
            remove_apt=split(arguments.remove_apt),
            use_cases=[] if use_cases == ["none"] else use_cases,
            base=None if arguments.base is None else base_tier(arguments.base),
            version=arguments.version,
            refresh=arguments.refresh,
            dockerfile=arguments.dockerfile,
            recreate=recreate,
        )
    )


def update_step(context: Context, image: models.Image, changes: models.ImageUpdateRequest) -> Step:
    """Building an image anew; told at its end is what changed, and who uses the build before."""

    def begin(client: Client) -> models.Operation:
        return client.update_image(image.name, changes)

    @cache  # the picture of a notebook and its result ask for the same
    def told(operation_id: str, built: str) -> View:
        document = models.Image.model_validate_json(built)
        return updated(context, image.build, document, changes.recreate)

    return Step(
        f"image {image.name}", begin, tell=lambda ended: told(ended.id, json.dumps(ended.result))
    )


def updated(
    context: Context, before: int | None, image: models.Image, recreated: Sequence[str] = ()
) -> View:
    """After a build: the difference of packages, and the containers that use the build before."""
    if image.build is None or before is None or image.build == before:
        text = f"Image {image.name} is built"
        same = " and brings what it was already" if before and image.build == before else ""
        view = View(Note(f"{text}{same}.", "good"), data=image)
        if same:
            return view
    else:
        text = f"Image {image.name} is build {image.build} now."
        view = View(Note(text, "good"), data=image) + _difference(
            context, image.name, before, image.build
        )
    rest = [name for name in image.containers if name not in recreated]
    notes = [Note(f"Made anew from it: {', '.join(recreated)}.", "good")] if recreated else []
    return View(*view.blocks, *notes, *_behind(context, image.name, before, rest), data=image)


def _difference(context: Context, name: str, before: int, after: int) -> View:
    try:
        return resolution_views.diff(
            context.client().image_diff(name, before, after), dockerfile=False
        )
    except ClientError as error:
        # The build is done; that it cannot be compared must not look like a failure.
        return View(Note(f"What changed cannot be shown: {error.message}", "dim"))


def _behind(context: Context, image: str, before: int | None, names: Sequence[str]) -> list[Note]:
    """Which containers use the build before, how to bring them up to date, and the way back."""
    notes = []
    if names:
        uses = "uses" if len(names) == 1 else "use"
        notes.append(Note(f"{', '.join(names)} still {uses} the build before.", "warn"))
        commands = [context.command(f"container recreate {name}") for name in names]
        anew = "makes it" if len(names) == 1 else "make them"
        notes.append(Note(f"{', '.join(commands)} {anew} anew from this one. {STAYS}"))
    if before is not None:
        back = context.command(f"image rollback {image} --to {before}")
        notes.append(Note(f"{back} goes back to build {before}.", "dim"))
    return notes


def builds(context: Context, arguments: Namespace) -> View:
    """`image builds NAME`."""
    documents = context.client().image_builds(arguments.name)
    return resolution_views.builds(documents, arguments.name, context.prog)


def diff(context: Context, arguments: Namespace) -> View:
    """`image diff NAME [--before N] [--after N]`."""
    document = context.client().image_diff(arguments.name, arguments.before, arguments.after)
    return resolution_views.diff(document)


def rollback(context: Context, arguments: Namespace) -> View:
    """`image rollback NAME [--to N]`."""
    client = context.client()
    before = client.image(arguments.name)
    image = client.rollback_image(arguments.name, arguments.to)
    view = View(Note(f"Image {image.name} is build {image.build} again.", "good"))
    if before.build is not None and image.build is not None:
        view += _difference(context, image.name, before.build, image.build)
    notes = []
    if image.containers:
        names = ", ".join(image.containers)
        commands = ", ".join(
            context.command(f"container recreate {name}") for name in image.containers
        )
        notes.append(Note(f"{names}: as before, until made anew by {commands}. {STAYS}"))
    notes.append(Note("The Dockerfile stays as it is; the next build is made from it.", "dim"))
    return View(*view.blocks, *notes, data=image)


def recreate(context: Context, arguments: Namespace) -> Any:
    """`container recreate NAME`."""
    name = arguments.name
    client = context.client()
    if not arguments.yes:
        document = client.container(name)
        runs = " It is stopped, made anew and started." if document.state == "running" else ""
        context.confirm(
            f"Make the container {name} anew from its image as it is now?{runs} {STAYS}",
            f"container recreate {name} --yes",
        )
    return context.follow(Work(client, [recreate_step(name)]), arguments)


def recreate_step(name: str) -> Step:
    """Making a container anew."""
    return Step(f"container {name}", lambda client: client.recreate_container(name))
