"""What a command answers when its long work has ended well."""

from __future__ import annotations

from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.work import Work
from ds01_jupyter.core import mig_documents, models
from ds01_jupyter.render import Note, View, image_views, views


def outcome(context: Context, work: Work) -> View:
    """The image or container that was made, and what can be done with it now."""
    last = work.operations[-1]
    if work.step.tell is not None and last.result:
        return work.step.tell(last)
    if not last.result:
        return View(Note(f"{last.title}: {last.state}.", "good"), data=last)
    if last.kind in ("image.create", "image.update"):
        image = models.Image.model_validate(last.result)
        onward = context.command(f"container create NAME --image {image.name}")
        view = image_views.image(image, prog=context.prog)
        return View(*view.blocks, Note(f"{onward} makes a container from it."), data=image)
    if last.kind == "mig.apply":
        from ds01_jupyter.render import mig_views

        return mig_views.outcome(mig_documents.MigOutcome.model_validate(last.result))
    container = models.Container.model_validate(last.result)
    stop = context.command(f"container stop {container.name}")
    view = views.container(container, context.prog)
    shell = f"docker exec -it {container.full_name} bash"
    text = f"It runs. `{shell}` opens a shell in it, {stop} stops it."
    if container.state != "running":
        text = f"{context.command(f'container start {container.name}')} starts it."
    return View(*view.blocks, Note(text), data=container)
