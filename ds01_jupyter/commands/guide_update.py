"""`image update NAME` as questions and answers: change, build, recreate."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import declined
from ds01_jupyter.commands.image_change import (
    changed,
    fixable,
    hopeless,
    replaced,
    request_of,
)
from ds01_jupyter.commands.image_updates import STAYS, recreate_step, update_step
from ds01_jupyter.commands.questions import Questions
from ds01_jupyter.commands.requests import split
from ds01_jupyter.commands.work import Work
from ds01_jupyter.core import models
from ds01_jupyter.render import View, image_views, resolution_views
from ds01_jupyter.widgets.entries import split_requirements

if TYPE_CHECKING:
    from ds01_jupyter.commands.terminal import TerminalContext

EDITED = "dockerfile_edited"


def guide_update(context: TerminalContext, arguments: Namespace) -> Any:
    """Ask what changes, build, and recreate. Raises `ClientError`, also when the person stops."""
    return _Guide(context, arguments).run()


class _Guide:
    def __init__(self, context: TerminalContext, arguments: Namespace) -> None:
        self.context = context
        self.client = context.client()
        self.arguments = arguments
        self.ask = Questions(context.messages)

    def run(self) -> View:
        self.image = self.client.image(self.arguments.name)
        request = request_of(self.image, self.client.catalogue().frameworks)
        self.ask.say("Enter takes what stands in [ ]; Ctrl-D stops.", "dim")
        self._phase(1, "Change")
        image_views.image(self.image, prog=self.context.prog).show(self.context.messages)
        changes = self._changes()
        while not self._checked(request, changes):
            changes = self._changes()
        self._phase(2, "Build")
        if not self.ask.yes(f"Build {self.image.name} anew?"):
            raise declined()
        view = self._build(changes)
        view.show(self.context.messages)
        self._phase(3, "Containers")
        self._recreate(models.Image.model_validate(view.data.model_dump()))
        return View(data=view.data)

    def _phase(self, number: int, title: str) -> None:
        self.ask.gap()
        self.ask.say(f"{number}/3 {title}", "bold cyan")

    def _changes(self) -> models.ImageUpdateRequest:
        image = self.image
        remove = self._from("Which of your pip packages go? (Enter: none)", image.pip)
        add = split_requirements(self.ask.text("Pip packages to add (Enter: none)"))
        remove_apt = self._from("Which Debian packages go? (Enter: none)", image.apt)
        add_apt = split([self.ask.text("Debian packages to add (Enter: none)")])
        tiers = [tier.key for tier in self.client.packages().use_cases]
        present = " ".join(image.use_cases) or "none"
        said = self.ask.text(
            f"Use cases ({', '.join(tiers)}, or none)",
            present,
            lambda answer: _known(answer, [*tiers, "none"]),
        )
        chosen = [key for key in split([said]) if key != "none"]
        return models.ImageUpdateRequest(
            add_pip=add,
            remove_pip=remove,
            add_apt=add_apt,
            remove_apt=remove_apt,
            use_cases=None if chosen == image.use_cases else chosen,
            refresh=self.ask.yes("The newest versions of everything?", default=False),
        )

    def _from(self, question: str, present: list[str]) -> list[str]:
        return self.ask.several(question, [(name, "") for name in present]) if present else []

    def _checked(self, request: models.ImageRequest, changes: models.ImageUpdateRequest) -> bool:
        """Show what it comes to, and take suggestions; False: other answers are needed."""
        while True:
            found = self.client.resolve_image(changed(request, changes))
            resolution_views.resolution(found).show(self.context.messages)
            if not hopeless(found):
                return True
            mending = next((one for one in found.problems if fixable(changes.add_pip, one)), None)
            if mending is None:
                return False
            if not self.ask.yes(f"{resolution_views.way_out(mending)[:-1]}?"):
                return False
            changes.add_pip[:] = replaced(changes.add_pip, mending)

    def _build(self, changes: models.ImageUpdateRequest) -> View:
        """Build; a Dockerfile that was edited within our parts needs a decision."""
        try:
            return self._follow(changes)
        except ClientError as error:
            if error.code != EDITED:
                raise
            self.ask.say(error.message, "yellow")
            choices = [
                ("keep", "build it as you edited it; the packages above do not count then"),
                ("replace", "write it anew; yours is kept beside it"),
            ]
            answer = self.ask.one("What now?", choices, "keep")
        return self._follow(changes.model_copy(update={"dockerfile": answer}))

    def _follow(self, changes: models.ImageUpdateRequest) -> View:
        step = update_step(self.context, self.image, changes)
        view: View = self.context.follow(Work(self.client, [step]), self.arguments)
        return view

    def _recreate(self, image: models.Image) -> None:
        if not image.containers or image.build == self.image.build:
            self.ask.say("No container has to be made anew.")
            return
        self.ask.say(STAYS)
        names = [(name, "") for name in image.containers]
        chosen = self.ask.several("Which are made anew now? (Enter: none)", names)
        if chosen:
            steps = [recreate_step(name) for name in chosen]
            self.context.follow(Work(self.client, steps), self.arguments)


def _known(answer: str, keys: list[str]) -> str:
    unknown = [word for word in split([answer]) if word not in keys]
    if unknown:
        raise ClientError(f"{', '.join(unknown)}: there are {', '.join(keys)}.")
    return answer
