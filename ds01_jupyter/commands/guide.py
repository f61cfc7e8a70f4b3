"""The wizards as questions and answers in a terminal, in the phases of the notebook's wizards."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands import create
from ds01_jupyter.commands.context import Context, WizardKind, declined
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.questions import Choice, Questions
from ds01_jupyter.commands.requests import (
    base_tier,
    container_request,
    image_name,
    image_request,
    split,
)
from ds01_jupyter.commands.work import Step, Work
from ds01_jupyter.core import models
from ds01_jupyter.render import image_views, why_views
from ds01_jupyter.render.machine_views import free_slots
from ds01_jupyter.widgets import texts

if TYPE_CHECKING:
    from ds01_jupyter.commands.terminal import TerminalContext

CHANGEABLE = frozenset({"invalid_input", "not_found"})
"""Refusals that another answer mends."""
_TAKE = "take {}"
PARTS = {
    "framework": ("framework and version", ("framework", "version", "architecture")),
    "packages": ("base, use cases and your own", ("base", "use_case", "pip", "apt")),
    "name": ("the name", ("name",)),
}
"""What can be changed before the build, and the options behind it."""


def lacking(context: Context, kind: WizardKind, arguments: Namespace) -> UsageProblem:
    """What a command needs where nobody can be asked."""
    if kind == "update":
        return UsageProblem(
            f"{context.command('image update')} needs options where nobody can be asked.",
            hint=f"For example {context.command(f'image update {arguments.name} --add einops')}, "
            "or --refresh for the newest versions.",
        )
    words = {"create": "create", "image": "image create", "container": "container create"}[kind]
    missing = [] if arguments.name else ["NAME"]
    if kind == "container":
        missing += ["--image IMAGE (or --framework F)"]
    elif not arguments.framework:
        missing += ["--framework F"]
    example = "--image demo" if kind == "container" else "--framework Pytorch"
    return UsageProblem(
        f"{context.command(words)} needs {' and '.join(missing)} where nobody can be asked.",
        hint=f"For example {context.command(f'{words} demo {example}')}.",
    )


def guide(context: TerminalContext, kind: WizardKind, arguments: Namespace) -> Any:
    """Ask for what is missing and do it. Raises `ClientError`, also when the person stops."""
    return _Guide(context, arguments).run(kind)


class _Guide:
    def __init__(self, context: TerminalContext, arguments: Namespace) -> None:
        self.context = context
        self.client = context.client()
        self.arguments = arguments
        self.ask = Questions(context.messages)

    def run(self, kind: WizardKind) -> Any:
        self.ask.say("Enter takes what stands in [ ]; Ctrl-D stops.", "dim")
        image = self._image(kind) if kind != "container" else None
        if kind == "image":
            assert image is not None
            return self._follow(Work(self.client, [create.image_step(image)]))
        container = self._container(image)
        wait = self.arguments.wait
        if image is None:
            work = Work(self.client, [create.container_step(container, wait=wait)])
        else:
            work = create.create_work(self.context, image, container, wait=wait)
        try:
            return self._follow(work)
        except ClientError as error:
            if error.code != why_views.NO_FREE_SLOT:
                raise
            return self._follow(Work(self.client, [self._instead(container, error)]))

    def _follow(self, work: Work) -> Any:
        return self.context.follow(work, self.arguments)

    def _instead(self, request: models.ContainerRequest, refused: ClientError) -> Step:
        """Why there is no slot; then wait, or take what can be had now."""
        messages = self.context.messages
        try:
            told = self.client.why(request.gpu, request.gpus)
        except ClientError:
            raise refused from None
        why_views.explanation(told, self.context.prog, commands=False).show(messages)
        choices = [(_TAKE.format(one.gpu), one.words) for one in told.instead]
        if told.outcome == "later":
            choices.insert(0, ("wait", "in the queue; the container is made when it is your turn"))
        elif told.outcome == "now":
            choices.insert(0, ("again", "it has become free meanwhile"))
        choices.append(("stop", "change nothing"))
        self.ask.gap()
        answer = self.ask.one("What now?", choices, choices[0][0])
        if answer == "stop":
            raise declined()
        for one in told.instead:
            if answer == _TAKE.format(one.gpu):
                request = request.model_copy(update={"gpu": one.gpu, "gpus": one.gpus})
        return create.container_step(request, wait=answer == "wait")

    def _phase(self, number: int, title: str) -> None:
        self.ask.gap()
        self.ask.say(f"{number}/3 {title}", "bold cyan")

    def _explain(self, text: str) -> None:
        if self.arguments.guided:
            self.ask.say(text, "dim")

    # ---- image -----------------------------------------------------------------------------

    def _image(self, kind: WizardKind) -> models.ImageRequest:
        """Ask, show the Dockerfile, and go back to what should be changed."""
        arguments = self.arguments
        self.ask.say("Your image", "bold")
        self._explain(texts.IMAGE)
        while True:
            self._framework()
            self._packages()
            request = image_request(arguments, self._image_name(kind))
            try:
                preview = self.client.preview_dockerfile(request)
            except ClientError as error:
                if error.code not in CHANGEABLE:
                    raise
                self.ask.say(str(error), "red")
                self._change()
                continue
            self._explain(texts.DOCKERFILE)
            image_views.dockerfile(preview).show(self.context.messages)
            if preview.state == "edited" and arguments.dockerfile == "ask":
                request = request.model_copy(update={"dockerfile": self._edited()})
            answer = self.ask.text("Build this image? (y, n, c to change something)", "y", _yes_no)
            if answer == "y":
                return request
            if answer == "n":
                raise declined()
            self._change()

    def _change(self) -> None:
        """Forget the answers that should be given anew."""
        names = [(part, words) for part, (words, _) in PARTS.items()]
        part = self.ask.one("What should be changed?", names, "name")
        for answer in PARTS[part][1]:
            setattr(self.arguments, answer, None)

    def _image_name(self, kind: WizardKind) -> str:
        """The image's name; refused now, when its container would be refused after the build."""
        arguments = self.arguments
        self._phase(3, "Name and Dockerfile")
        if kind == "image":
            if not arguments.name:
                self._explain(texts.IMAGE_NAME)
                arguments.name = self.ask.text("Name of the image", check=_given)
            return str(arguments.name)

        def check(answer: str) -> str:
            create.check_early(self.context, _given(answer))
            return answer

        if arguments.name:
            check(arguments.name)
        else:
            self._explain(texts.IMAGE_NAME)
            arguments.name = self.ask.text("Name of image and container", check=check)
        return image_name(arguments.name)

    def _framework(self) -> None:
        arguments = self.arguments
        if arguments.framework and arguments.version:
            return
        self._phase(1, "Framework")
        catalogue = self.client.catalogue(arguments.architecture)
        if not arguments.framework:
            self._explain(texts.FRAMEWORK)
            versions = {name: _versions(catalogue, name) for name in catalogue.frameworks}
            offered = {name: found for name, found in versions.items() if found}
            if not offered:
                raise ClientError(
                    "The catalogue has no framework for this machine.",
                    hint=f"See {self.context.command('catalogue')}.",
                    code="not_found",
                )
            choices = [(name, f"newest: {found[0]}") for name, found in offered.items()]
            default = "Pytorch" if "Pytorch" in offered else choices[0][0]
            arguments.framework = self.ask.one("Framework", choices, default)
        found = _versions(catalogue, arguments.framework)
        if not arguments.version and len(found) > 1:
            self._explain(texts.VERSION)
            here = {row.version for row in catalogue.rows if row.local}
            choices = [(name, "on this machine" if name in here else "") for name in found]
            arguments.version = self.ask.one("Version", choices, found[0])

    def _packages(self) -> None:
        arguments = self.arguments
        if None not in (arguments.base, arguments.use_case, arguments.pip, arguments.apt):
            return
        self._phase(2, "Packages")
        tiers = self.client.packages()
        if arguments.base is None:
            names = [package.name for package in tiers.base.packages]
            self._explain(texts.BASE)
            self.ask.say(f"{tiers.base.title}: {', '.join(names)}")
            arguments.base = self.ask.text(
                "Base packages: defaults, none, or your choice of them",
                "defaults",
                lambda answer: _base(answer, names),
            )
        if arguments.use_case is None:
            self._explain(texts.USE_CASES)
            choices = [(tier.key, tier.title) for tier in tiers.use_cases]
            arguments.use_case = self.ask.several("Use cases (Enter: none)", choices)
        if arguments.pip is None:
            self._explain(texts.PIP)
            arguments.pip = self.ask.text("Your own pip packages (Enter: none)").split()
        if arguments.apt is None:
            self._explain(texts.APT)
            arguments.apt = split([self.ask.text("Debian packages (Enter: none)")])

    def _edited(self) -> str:
        choices = [
            ("keep", "build it as you edited it"),
            ("replace", "write it anew; yours is kept beside it"),
        ]
        return self.ask.one("You edited this Dockerfile. What now?", choices, "keep")

    # ---- container -------------------------------------------------------------------------

    def _container(self, image: models.ImageRequest | None) -> models.ContainerRequest:
        arguments = self.arguments
        self.ask.gap()
        self.ask.say("Your container", "bold")
        self._explain(texts.CONTAINER)
        self._phase(1, "Image")
        source = image.name if image else self._source()
        if image:
            self.ask.say(f"It starts from your new image {source}.")
        self._phase(2, "GPU")
        self._gpu()
        self._phase(3, "Name and folders")
        if not arguments.name:
            self._explain(texts.CONTAINER_NAME)
            arguments.name = self.ask.text("Name", check=_given)
        if arguments.workspace is None:
            self._explain(texts.WORKSPACE)
            arguments.workspace = self.ask.text("Workspace", f"~/workspace/{arguments.name}")
        if arguments.data is None:
            self._explain(texts.FOLDERS)
            arguments.data = self.ask.text("Folder with data (Enter: none)") or None
        if arguments.models is None:
            arguments.models = self.ask.text("Folder with models (Enter: none)") or None
        request = container_request(arguments, arguments.name, source)
        if not self.ask.yes("Create this container?"):
            raise declined()
        return request

    def _source(self) -> str | None:
        """The image; None when the options name a framework."""
        arguments = self.arguments
        if arguments.image or arguments.framework:
            image: str | None = arguments.image
            return image
        self._explain(texts.SOURCE)
        images = self.client.images()
        if not images:
            raise ClientError(
                "You have no image yet.",
                hint=f"{self.context.command('create')} makes image and container; "
                f"{self.context.command('container create NAME --framework Pytorch')} takes a "
                "framework as it is.",
                code="not_found",
            )
        choices: list[Choice] = [
            (one.name or one.reference, f"{one.framework or ''} {image_views.tiers_of(one)}")
            for one in images
        ]
        return self.ask.one("Image", choices, choices[0][0])

    def _gpu(self) -> None:
        arguments = self.arguments
        if arguments.gpu != "any" or arguments.gpus != 1:
            return
        self._explain(texts.GPU)
        self._explain(texts.LIMITS)
        try:
            snapshot = self.client.gpus()
        except ClientError as error:
            self.ask.say(f"{error.message} The container can do without a GPU.", "yellow")
            arguments.gpu = self.ask.text("GPU", "none", _given)
            return
        self.ask.say(free_slots(snapshot.gpus))
        arguments.gpu = self.ask.text(
            "GPU: any, none, whole, a profile, memory (10GB) or a slot",
            "any" if snapshot.gpus else "none",
            _given,
        )


def _versions(catalogue: models.Catalogue, framework: str) -> list[str]:
    wanted = framework.casefold()
    return [row.version for row in catalogue.rows if row.framework.casefold() == wanted]


def _given(answer: str) -> str:
    if not answer:
        raise ClientError("An answer is needed here.")
    return answer


def _yes_no(answer: str) -> str:
    if answer.casefold() in ("y", "yes", "n", "no", "c", "change"):
        return answer.casefold()[0]
    raise ClientError("Answer y, n or c.")


def _base(answer: str, names: list[str]) -> str:
    tier = base_tier(answer)
    unknown = [name for name in tier if name not in names] if isinstance(tier, list) else []
    if unknown:
        raise ClientError(f"{', '.join(unknown)}: not in the base tier; add it as a pip package.")
    return answer
