"""`cronflow completion`: scripts for the shells, made from the definitions of the verbs."""

from __future__ import annotations

import os
import shlex
from typing import Annotated, Any

import typer

from cronflow.cli import completion_scripts
from cronflow.cli.completion_scripts import Word
from cronflow.cli.invocation import Invocation
from cronflow.cli.names import WAITING
from cronflow.errors import CronflowError, Exit
from cronflow.places import find_places


def completion(
    invocation: Invocation,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the script with which a shell completes verbs, flags and the names of jobs.

    bash: `cronflow completion bash > /etc/bash_completion.d/cronflow`.
    zsh: `cronflow completion zsh > /usr/local/share/zsh/site-functions/_cronflow`.
    fish: `cronflow completion fish > ~/.config/fish/completions/cronflow.fish`.
    """
    scripts = {"bash": completion_scripts.bash, "zsh": completion_scripts.zsh, "fish": completion_scripts.fish}
    if shell not in scripts:
        raise CronflowError(f"there is no completion for `{shell}`", "there is one for bash, zsh and fish", Exit.USAGE)
    invocation.out(scripts[shell](words(), names_file(invocation)), end="")


def words() -> list[Word]:
    """All verbs, from the app itself."""
    from cronflow.cli.app import build

    app = build()
    return [_word("", app), *_words(app)]


def _words(group: Any) -> list[Word]:
    return [_word(name, group.get_command(None, name)) for name in group.list_commands(None)]


def _word(name: str, command: Any) -> Word:
    word = Word(name, command.get_short_help_str(200))
    for one in command.params:
        if one.param_type_name == "argument":
            word.argument = _kind(one)
            continue
        for flag in one.opts:
            word.flags[flag] = (one.help or "").split(". ")[0].rstrip(".")
            if not one.is_flag:
                word.values[flag] = _kind(one)
    word.flags["--help"] = "Show the help"
    if name and hasattr(command, "commands"):
        word.verbs = _words(command)
    return word


def _kind(parameter: Any) -> str:
    """What can stand there, by the word that the help has for it: `job`, `waiting` (tasks that wait for an approval), `file`,
    `folder`, `words a b`, or nothing."""
    choices = getattr(parameter.type, "choices", None)
    if choices:
        return "words " + " ".join(map(str, choices))
    name = (parameter.metavar or parameter.name or "").upper().strip("[].…")
    if name == "SHELL":
        return "words bash zsh fish"
    if "|" in name and name.replace("|", "").islower():
        return "words " + name.replace("|", " ")
    if name == WAITING:
        return "waiting"
    if "JOB" in name or "RUN" in name or name == "TASK":
        return "job"
    return {"PATH": "file", "FILE": "file", "OUT": "file", "LOG": "file", "DIR": "folder"}.get(name, "")


def names_file(invocation: Invocation) -> str:
    """Where a shell finds the names of the jobs, as an expression of sh: the state folder of the time of completion, or of
    the job file for which the script was made."""
    named = invocation.options.file or invocation.options.state or os.environ.get("CRONFLOW_FILE")
    if named or invocation.places.file != find_places(environ={**os.environ, "CRONFLOW_FILE": "", "CRONFLOW_STATE": ""}).file:
        return shlex.quote(str(invocation.places.state / "names"))
    return ""
