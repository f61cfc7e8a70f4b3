"""`%ds01`: the commands in a notebook.

Registering it must be cheap: nothing but IPython, which is there already, is imported here.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ds01_jupyter.commands.context import Context
    from ds01_jupyter.notices import Follower

MATCHER = "ds01"
"""What IPython calls our completions; loading the extension again replaces them."""


@magics_class
class DS01Magics(Magics):
    """The line magic `%ds01`."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._context: Context | None = None

    @property
    def context(self) -> Context:
        """Where the commands run: a notebook, or IPython in a terminal."""
        if self._context is None:
            if hasattr(self.shell, "kernel"):
                from ds01_jupyter.commands.notebook import NotebookContext

                self._context = NotebookContext()
            else:
                from ds01_jupyter.commands.terminal import IPythonContext

                self._context = IPythonContext()
        return self._context

    @line_magic
    def ds01(self, line: str) -> Any:
        """GPU containers from the notebook.

        %ds01 help                 all commands
        %ds01 status               you, this machine and your containers
        %ds01 notices              what you were warned of, and what was done
        %ds01 create               image and container, step by step
        %ds01 create NAME --framework Pytorch --use-case cv --gpu 1g.5gb
        %ds01 image create | resolve | update | rollback | list | show | remove | ...
        %ds01 container create | list | show | start | stop | keep-alive | ... | remove
        %ds01 gpus                 who has which GPU slot
        %ds01 why                  can I have a GPU, and if not, why and when
        %ds01 queue                who waits for one; list | follow | leave
        %ds01 limits               what you may have, and what is in use
        %ds01 catalogue            the frameworks and versions
        %ds01 packages             the package tiers
        %ds01 operations           builds and other long work
        %ds01 mig export | assert | plan | apply

        `%ds01 COMMAND --help` explains a command. The answer is an object with the documents in
        its `data`: `x = %ds01 container list`, then `x.data`. Long work returns a handle at once:
        `x.wait()`, `x.cancel()`, `x.state`.
        """
        from ds01_jupyter.client_error import ClientError
        from ds01_jupyter.commands import run

        try:
            return run(self.context, words_of(line))
        except ClientError as error:
            if error.code == "server_unreachable" or error.status in (401, 403):
                self.context.forget_client()
            raise


def words_of(line: str) -> list[str]:
    """The line's words as a shell would split them. Raises `UsageProblem`."""
    from ds01_jupyter.commands.parser import UsageProblem

    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageProblem(
            f"The line cannot be read: {error}.", hint="A quotation mark may be missing."
        ) from error


def register(ipython: InteractiveShell) -> None:
    """Add `%ds01` and its tab completion to a shell."""
    magics = DS01Magics(ipython)
    ipython.register_magics(magics)
    _follow_notices(ipython)
    completer: Any = ipython.Completer
    others = [one for one in completer.custom_matchers if _name(one) != MATCHER]
    completer.custom_matchers = [*others, _matcher(magics)]


class NoticeHook:
    """Called after every cell: begins to follow the lab's notices, and shows what is new.

    The first call imports what it takes, a few milliseconds; everything slow happens in a thread.
    """

    def __init__(self) -> None:
        self._follower: Follower | None = None
        self._off = False

    def __call__(self, *_: object) -> None:
        if self._off:
            return
        from ds01_jupyter import notices

        try:
            if self._follower is None:
                self._off = not notices.wanted()
                if not self._off:
                    self._follower = notices.Follower().start()
            else:
                notices.show(self._follower)
        except Exception:
            # IPython would print a traceback below every cell from now on.
            notices.log.exception("notices are not shown any more")
            self.end()

    def end(self) -> None:
        """Look no more."""
        self._off = True
        if self._follower is not None:
            self._follower.stop()


def _follow_notices(ipython: InteractiveShell) -> None:
    """Show notices in a notebook; loading the extension again replaces what there was."""
    if not hasattr(ipython, "kernel"):
        return
    for callback in list(ipython.events.callbacks["post_run_cell"]):
        if isinstance(callback, NoticeHook):
            ipython.events.unregister("post_run_cell", callback)
            callback.end()
    ipython.events.register("post_run_cell", NoticeHook())


def _matcher(magics: DS01Magics) -> Any:
    """IPython's matcher for lines with `%ds01`; nothing else is offered beside its words.

    The older hook `complete_command` would mix Python's names among them.
    """
    from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

    def matcher(context: CompletionContext) -> Any:
        before, magic, typed = context.text_until_cursor.rpartition("%ds01 ")
        if not magic or (before.strip() and not before.rstrip().endswith("=")):
            return {"completions": [], "suppress": False}
        from ds01_jupyter.completion import for_ipython

        found, current = for_ipython(magics.context.prog, typed)
        return {
            "completions": [SimpleCompletion(word, type="ds01") for word in found],
            "matched_fragment": current,
            "suppress": True,
            "ordered": True,
        }

    declare: Any = context_matcher(identifier=MATCHER)
    return declare(matcher)


def _name(matcher: Any) -> str:
    return str(getattr(matcher, "matcher_identifier", ""))
