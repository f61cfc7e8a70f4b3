"""`completion bash|zsh`: the script that makes a shell ask `ds01 __complete`."""

from __future__ import annotations

from argparse import Namespace

from ds01_jupyter.commands.context import Context
from ds01_jupyter.render import Code, View

BASH = """\
_ds01_complete() {
    local cur words cword
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n := cur words cword
    else
        words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${COMP_WORDS[COMP_CWORD]}
    fi
    local IFS=$'\\n'
    COMPREPLY=($(ds01 __complete "${words[@]:1:cword}" 2>/dev/null))
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$cur"
    fi
}
complete -o default -F _ds01_complete ds01
"""
ZSH = """\
_ds01_complete() {
    local -a found
    found=("${(@f)$(ds01 __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -a found; else _files; fi
}
compdef _ds01_complete ds01
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH}


def script(_: Context, arguments: Namespace) -> View:
    """`completion SHELL`."""
    text = SCRIPTS[arguments.shell]
    return View(Code(text.rstrip("\n")), data=text)
