"""Completion for the shell: `python -m runbook` is no program of its own, so the shell gets a function `runbook`.

Owns the three scripts; what is completed is typer's and the commands' business.
"""

import shlex
from enum import StrEnum

from runbook.connection import PROJECT

COMPLETE_VARIABLE = "_RUNBOOK_COMPLETE"


class Shell(StrEnum):
    """Shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def script(shell: Shell, python: str) -> str:
    """Return what a shell has to source.

    :param python: the interpreter that runs the runbook
    """
    template = {Shell.BASH: _BASH, Shell.ZSH: _ZSH, Shell.FISH: _FISH}[shell]
    run = f"{shlex.quote(python)} -m runbook"
    return template.format(folder=shlex.quote(str(PROJECT)), run=run, variable=COMPLETE_VARIABLE)


# The runbook is found from the project's folder only, so each call changes to it in a shell of its own.
_BASH = """\
runbook() (
  cd {folder} && {run} "$@"
)
_runbook_completion() {{
  local IFS=$'\\n'
  COMPREPLY=( $(cd {folder} && COMP_WORDS="${{COMP_WORDS[*]}}" COMP_CWORD=$COMP_CWORD {variable}=complete_bash {run}) )
}}
complete -o default -F _runbook_completion runbook"""

_ZSH = """\
runbook() (
  cd {folder} && {run} "$@"
)
_runbook_completion() {{
  eval "$(cd {folder} && _TYPER_COMPLETE_ARGS="${{words[1,$CURRENT]}}" {variable}=complete_zsh {run})"
}}
compdef _runbook_completion runbook"""

_FISH = """\
function runbook
  env -C {folder} {run} $argv
end
function _runbook_completion
  env -C {folder} {variable}=complete_fish _TYPER_COMPLETE_FISH_ACTION=$argv[1] \\
    _TYPER_COMPLETE_ARGS=(commandline -cp) {run}
end
complete --command runbook --no-files --arguments "(_runbook_completion get-args)" \\
  --condition "_runbook_completion is-args"
"""
