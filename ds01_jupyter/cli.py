"""The `ds01` command.

Exit status: 0 done, 1 refused or failed, 2 not understood, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands import run
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.terminal import TerminalContext

DONE, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal without UTF-8 gets question marks and not a traceback.
            stream.reconfigure(errors="replace")
    try:
        return _complete(words[1:]) if words[:1] == ["__complete"] else _command(words)
    except BrokenPipeError:
        # `ds01 container list | head`: nobody reads on; keep Python from telling at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED


def _complete(words: list[str]) -> int:
    from ds01_jupyter.completion import for_shell

    print("\n".join(for_shell(words)))
    return DONE


def _command(words: list[str]) -> int:
    context = TerminalContext()
    try:
        answer = run(context, words)
        _print(answer)
        sys.stdout.flush()
        _remind(context, answer)
    except UsageProblem as problem:
        _refuse(context, problem)
        return USAGE
    except ClientError as error:
        _refuse(context, error)
        return INTERRUPTED if error.code == "interrupted" else REFUSED
    except KeyboardInterrupt:
        _refuse(context, ClientError("Interrupted.", code="interrupted"))
        return INTERRUPTED
    finally:
        context.forget_client()
    return REFUSED if context.failed else DONE


def _print(answer: Any) -> None:
    from ds01_jupyter.render import View

    if not isinstance(answer, View):
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    from ds01_jupyter.render.terminal import PIPE_WIDTH, make_console

    answer.show(make_console(None if sys.stdout.isatty() else PIPE_WIDTH))


def _remind(context: TerminalContext, answer: Any) -> None:
    """One line on what will soon happen to a container; machines that read JSON do not get it."""
    from ds01_jupyter.commands.lifetime import near
    from ds01_jupyter.render import Note, View
    from ds01_jupyter.render.terminal import renderable

    if isinstance(answer, View) and (line := near(context)):
        console = context.messages
        note = renderable(Note(line, "warn"), console.width)
        # In a log it stays one line; a terminal breaks it between words.
        console.print(note, soft_wrap=not console.is_terminal)


def _refuse(context: TerminalContext, error: ClientError) -> None:
    from ds01_jupyter.render.problem import problem

    # The lab speaks to notebooks in the first place.
    error.hint = error.hint.replace("%ds01 ", "ds01 ")
    problem(error).show(context.messages)
