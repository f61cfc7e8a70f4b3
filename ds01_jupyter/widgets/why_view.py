"""Why one cannot have a GPU, in a cell of its own and in the wizard where one was refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import Alternative, ContainerRequest, Explanation, GpuSnapshot
from ds01_jupyter.render.why_views import NO_FREE_SLOT
from ds01_jupyter.widgets import gpu_choice
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.fields import offer
from ds01_jupyter.widgets.live_view import LiveView
from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.panel import Panel, button, html
from ds01_jupyter.widgets.problem import Problem, problem_box, problem_html
from ds01_jupyter.widgets.source import Connect, Source
from ds01_jupyter.widgets.why_drawing import why_html

SLOT_LIMITS = frozenset(
    {"max_mig_instances", "max_gpu_equivalents", "max_slots_per_container", "allow_full_gpu"}
)
"""Keys of limits that another choice of GPU may mend."""
CPU_ONLY = Alternative(gpu="none", gpus=1, words="without a GPU (CPU only)", command="")
MAX_BUTTONS = 4


def explained(problem: Problem) -> bool:
    """Whether a refusal of a container gets a page of its own: it is about GPU slots."""
    of_slots = problem.details.get("key") in SLOT_LIMITS
    return problem.code == NO_FREE_SLOT or (problem.code == "limit_reached" and of_slots)


class WhyView(LiveView):
    """Whether slots can be had now; what is asked about can be chosen. Or about a container."""

    name = "why"

    def __init__(
        self,
        client: Source | None,
        *,
        gpu: str = "any",
        gpus: int = 1,
        container: str | None = None,
        follow: bool = False,
    ) -> None:
        super().__init__(client, follow=follow)
        self._gpus, self._container = gpus, container
        self.choice = W.Dropdown(description="Can I have", options=[(gpu, gpu)], value=gpu)
        self.choice.add_class("ds01-why-choice")
        if container is None:
            self.stage.children = (self.choice, *self.stage.children)
        self.choice.observe(lambda _: self.look(), "value")
        self.look()

    def ask(self, client: Source) -> tuple[GpuSnapshot | None, Explanation]:
        """The explanation, and what can be asked about."""
        if self._container is not None:
            return None, client.why_container(self._container)
        return client.gpus(), client.why(self.choice.value, self._gpus)

    def draw(self, answer: tuple[GpuSnapshot | None, Explanation]) -> str:
        """The explanation."""
        return why_html(answer[1])

    def shown(self, answer: tuple[GpuSnapshot | None, Explanation]) -> None:
        """Offer the kinds of slots that there are; look again where another was chosen since."""
        snapshot, explanation = answer
        if snapshot is None:
            return
        kinds = [(each.title, each.value) for each in gpu_choice.offers(snapshot)]
        choices = [("any GPU slot", "any"), *kinds]
        chosen = self.choice.value
        if chosen not in [value for _, value in choices]:
            choices.append((chosen, chosen))
        if list(self.choice.options) != choices:
            offer(self.choice, choices, chosen)
        if chosen != explanation.gpu:
            self.look()


class RefusedPanel(Panel):
    """What the wizard shows when a container gets no slot: why, and what one can do.

    `wait` joins the queue, `take` asks for something else at once, `back` returns to the wizard.
    """

    css_class = "ds01-refused"

    def __init__(
        self,
        connect: Connect,
        background: Background,
        request: ContainerRequest,
        problem: Problem,
        *,
        wait: Callable[[], None],
        take: Callable[[Alternative], None],
        back: Callable[[Problem], None],
    ) -> None:
        self._connect, self._background = connect, background
        self._request, self._problem, self._take = request, problem, take
        self.title = html(f"<h3 class='ds01-heading'>No GPU slot for {escape(request.name)}</h3>")
        self.body = html(problem_html(problem), "ds01-why-box")
        self.problem = problem_box()
        self.wait = button("Wait in the queue", "ds01-wait", icon="clock-o", style="primary")
        self.again = button("Create it now", "ds01-again", icon="check", style="primary")
        self.change = button("Back to change things", "ds01-change", icon="arrow-left")
        self.state = html("", "ds01-busy")
        self.now_box = W.VBox([])
        self.now_box.add_class("ds01-now")
        self.footer = W.HBox([self.change, self.state])
        self.footer.add_class("ds01-footer")
        same = Alternative(gpu=request.gpu, gpus=request.gpus, words="", command="")
        self.wait.on_click(lambda _: self._once(wait))
        self.again.on_click(lambda _: self._once(lambda: take(same)))
        # The problem stays at its field, where it is changed.
        self.change.on_click(lambda _: back(problem))
        super().__init__((self.title, self.body, self.now_box, self.problem, self.footer))

    def load(self) -> None:
        """Ask why; without an answer the refusal itself says what is known."""
        self._busy("Looking who is in the way…")
        request = self._request
        self._background.run(
            lambda: self._connect().why(request.gpu, request.gpus), self._show, self._unexplained
        )

    def blame(self, problem: Problem) -> None:
        """What was chosen here did not work either."""
        self._busy("")
        self.problem.value = problem_html(problem)

    def _show(self, explanation: Explanation) -> None:
        self.body.value = why_html(explanation, commands=False)
        # What was refused a moment ago may be free by now.
        first = {"now": (self.again,), "later": (self.wait,), "never": ()}[explanation.outcome]
        self._offer(explanation.instead, first)

    def _unexplained(self, problem: Problem) -> None:
        self.problem.value = problem_html(problem)
        self._offer((), (self.wait,) if self._problem.code == NO_FREE_SLOT else ())

    def _offer(self, instead: Sequence[Alternative], first: tuple[Any, ...]) -> None:
        alternatives = list(instead)[:MAX_BUTTONS]
        if self._problem.code == NO_FREE_SLOT and not any(a.gpu == "none" for a in alternatives):
            alternatives.append(CPU_ONLY)
        buttons = [self._button(each) for each in alternatives]
        if buttons:
            label = html("<p class='ds01-label'>To be had now</p>")
            row = W.HBox(buttons)
            row.add_class("ds01-footer")
            self.now_box.children = (label, row)
        self.footer.children = (*first, self.change, self.state)
        self._busy("")

    def _button(self, alternative: Alternative) -> Any:
        label = "CPU only" if alternative.gpu == "none" else _short(alternative)
        css = f"ds01-take-{'none' if alternative.gpu == 'none' else 'gpu'}"
        made = button(label, css, tip=alternative.words)
        made.on_click(lambda _: self._once(lambda: self._take(alternative)))
        return made

    def _once(self, action: Callable[[], None]) -> None:
        """One click, one try: the buttons wait until it is answered."""
        self.problem.value = ""
        self._busy("Asking…")
        action()

    def _busy(self, words: str) -> None:
        if self.closed:
            return
        inner = f"<span class='ds01-spinner'></span>{escape(words)}" if words else ""
        self.state.value = f"<span role='status'>{inner}</span>"
        rows = [each for each in self.now_box.children if isinstance(each, W.HBox)]
        for each in (
            self.wait,
            self.again,
            self.change,
            *(b for row in rows for b in row.children),
        ):
            each.disabled = bool(words)


def _short(alternative: Alternative) -> str:
    times = f"{alternative.gpus} x " if alternative.gpus > 1 else ""
    what = {"whole": "a whole GPU", "any": "any free slot"}.get(alternative.gpu, alternative.gpu)
    return f"Take {times}{what}"
