"""`create`: from nothing to a running container."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.image_files import take_files
from ds01_jupyter.commands.requests import container_request, image_name, image_request
from ds01_jupyter.commands.work import Step, Work
from ds01_jupyter.core import models
from ds01_jupyter.render.why_views import NO_FREE_SLOT

if TYPE_CHECKING:
    from ds01_jupyter.client import Client

GUIDE_IMAGE = (
    "An image is the software: the framework from the catalogue, then the tiers that you chose "
    "(base, use cases, your own packages). It is built once and can serve many containers."
)
GUIDE_CONTAINER = (
    "A container is a running copy of the image with its own GPU slot and limits. What it writes "
    "to /workspace is kept in a folder of yours; everything else goes when it is removed."
)


def everything(context: Context, arguments: Namespace) -> Any:
    """`create [NAME --framework F ...]`: image, then container."""
    take_files(context, arguments)
    if not arguments.name or not arguments.framework:
        return context.wizard("create", arguments)
    name = arguments.name
    image = image_request(arguments, image_name(name))
    container = container_request(arguments, name, image.name)
    check_early(context, name)
    if arguments.guided:
        context.say(f"Step 1 of 2. {GUIDE_IMAGE}")
        context.say(f"Step 2 of 2. {GUIDE_CONTAINER}")
    return context.follow(create_work(context, image, container, wait=arguments.wait), arguments)


def create_work(
    context: Context,
    image: models.ImageRequest,
    container: models.ContainerRequest,
    *,
    wait: bool = False,
) -> Work:
    """The image's build, then the container; `wait`: in the queue, when nothing fits."""
    again = context.command(f"container create {container.name} --image {image.name}")
    return Work(
        context.client(),
        [
            image_step(image),
            container_step(
                container,
                f"The image {image.name} is built; {again} makes the container.",
                wait=wait,
            ),
        ],
    )


def image_step(request: models.ImageRequest) -> Step:
    """Building an image."""
    return Step(f"image {request.name}", lambda client: client.create_image(request))


def container_step(
    request: models.ContainerRequest, repair: str = "", *, wait: bool = False
) -> Step:
    """Creating a container; `wait`: when no slot fits, first a place in the queue."""

    def begin(client: Client) -> models.Operation | models.QueueEntry:
        try:
            return client.create_container(request)
        except ClientError as error:
            if not wait or error.code != NO_FREE_SLOT:
                raise
            return client.join_queue(request)

    return Step(f"container {request.name}", begin, repair, waits=wait)


def check_early(context: Context, name: str) -> None:
    """Refuse before a long build what would be refused after it. The server decides again."""
    client = context.client()
    if any(known.managed and known.name == name for known in client.containers()):
        raise ClientError(
            f"You have a container {name} already.",
            hint=f"Choose another name, or remove it first: "
            f"{context.command(f'container remove {name}')}.",
            code="conflict",
        )
    report = client.limits()
    most, used = report.limits.max_containers, report.usage.containers
    if most is not None and used >= most:
        raise ClientError(
            f"You have {used} of {most} containers, so another one would be refused.",
            hint=f"Remove one first: {context.command('container list')} shows them, "
            f"{context.command('container remove NAME')} removes one.",
            code="limit_reached",
            details={"limit": most, "in_use": used, "asked": 1},
        )
