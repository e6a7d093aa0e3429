"""The typer app of the verbs (`cronflow.cli.verbs` has the table of them).

A verb is a function whose first parameter is the Invocation and whose docstring is its help; it returns the exit status (None:
0). Where it has many flags, a named tuple of them is one parameter. Typer makes the command of it. In four things we go beyond
typer, each of which it has no setting for:

- a command is made when it is asked for, so that only the module of that verb is imported (`Verbs.get_command`);
- the function gets an Invocation in the place of typer's context, and named tuples of flags (`_called_by_typer`);
- `--file`, `--state`, `--json` and `--no-color` may stand before and behind the verb, and what stands behind it counts. So the
  options of the group are given to every verb as well (`_command`). Where a verb has a flag of that name itself (`logs -f`), it
  is the verb's behind the verb;
- the help has our sections, and a usage line without what is in them (`format_options`, `collect_usage_pieces`).
"""

from __future__ import annotations

import copy
import gc
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from cronflow import __version__
from cronflow.cli.invocation import Options, find_invocation
from cronflow.cli.verbs import VERBS, Verb
from cronflow.errors import CronflowError, Exit

Function = Callable[..., int | None]

GLOBAL = Options._fields
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def program(
    context: typer.Context,
    file: Annotated[str | None, typer.Option("--file", "-f", metavar="PATH", help="The job file.")] = None,
    state: Annotated[str | None, typer.Option("--state", metavar="DIR", help="The state folder.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colour on the terminal.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """cron, plus dependencies, retries, history and alerts, in one job file and one process."""
    del file, state, json, no_color  # read from the contexts, where those behind the verb stand as well
    if version:
        sys.stdout.write(f"cronflow {__version__}\n")
        raise typer.Exit()
    _show_help(context)


def _show_help(context: typer.Context) -> None:
    """The help of a group without a verb."""
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


# ---- commands and their help ----------------------------------------------------------------------------------------------

_BOUNDS = r"; \d+<=x<=\d+|; x>=\d+|  \[x>=\d+\]"
"""How click shows the bounds of a number."""


class VerbCommand(TyperCommand):
    """A verb: its usage line, and its help with the global options apart."""

    def collect_usage_pieces(self, _ctx: Any) -> list[str]:
        return ["[OPTIONS]", *(_argument(one) for one in self.params if one.param_type_name == "argument")]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        records: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Global options": []}
        for one in self.get_params(ctx):
            if one.param_type_name == "argument":
                records["Arguments"].append((_argument(one, plain=True), getattr(one, "help", None) or ""))
            elif record := one.get_help_record(ctx):
                ours = getattr(one, "everywhere", False) or "--help" in one.opts
                records["Global options" if ours else "Options"].append((record[0], re.sub(_BOUNDS, "", record[1])))
        for title, rows in records.items():
            _write(formatter, title, rows)


def _argument(one: Any, plain: bool = False) -> str:
    name = one.metavar or (one.name or "").upper()
    return name if plain or one.required else f"[{name}]"


def _write(formatter: Any, title: str, rows: list[tuple[str, str]]) -> None:
    """A section of the help, if there is anything in it."""
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


class Verbs(TyperGroup):
    """All verbs, in sections, or the verbs of one (`cronflow alerts test`), whose `path` is its name. A command is made when it
    is asked for."""

    sections: Mapping[str, Mapping[str, Verb]] = VERBS
    path = ""

    @property
    def table(self) -> dict[str, Verb]:
        return {name: verb for section in self.sections.values() for name, verb in section.items()}

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(self.table)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        verb = self.table.get(cmd_name)
        if verb is not None and cmd_name not in self.commands:
            ours = [one for one in self.params if one.name in GLOBAL]
            self.commands[cmd_name] = _group(cmd_name, verb, ours) if verb.verbs else _command(cmd_name, verb, ours)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.table and not args[0].startswith("-"):
            raise _unknown(self.path, args[0], list(self.table))
        return super().resolve_command(ctx, args)

    def collect_usage_pieces(self, _ctx: Any) -> list[str]:
        return ["|".join(self.table), "…"] if self.path else ["[OPTIONS]", "VERB", "…"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        widest = max(map(len, self.table))
        for title, verbs in self.sections.items():
            _write(formatter, title, [(name.ljust(widest), verb.help) for name, verb in verbs.items()])
        options = [row for one in self.get_params(ctx) if (row := one.get_help_record(ctx))]
        _write(formatter, "Global options" if self.path else "Options", options)


def _unknown(path: str, word: str, known: list[str]) -> CronflowError:
    """The usage error for a word that is not a verb, with the nearest one as its hint."""
    from cronflow.core.words import closest

    near = closest(word, known)
    hint = f"did you mean `{path}{near}`?" if near else f"`cronflow {path}--help` lists them"
    return CronflowError(f"there is no verb `{path}{word}`", hint, Exit.USAGE)


def build() -> Any:
    """The whole app, as the command of click that typer makes of it."""
    app = _typer(cls=Verbs, invoke_without_command=True)
    app.callback()(program)
    return typer.main.get_command(app)


def _typer(**more: Any) -> typer.Typer:
    return typer.Typer(
        rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, context_settings=_SETTINGS, **more
    )


def _group(name: str, verb: Verb, ours: list[Any]) -> Any:
    """The command of a verb of verbs; `ours` are the global options."""

    def show(context: typer.Context, **_: Any) -> None:
        _show_help(context)

    app = _typer(cls=Verbs, invoke_without_command=True)
    app.callback(help=_module(verb).__doc__)(_signed(show, []))
    group: Any = typer.main.get_command(app)
    group.name, group.path, group.sections = name, f"{name} ", {"Verbs": verb.verbs}
    group.params.extend(ours)
    return group


def _command(name: str, verb: Verb, ours: list[Any]) -> Any:
    """The command of a verb, with the global options that it has no flags of its own for."""
    app = _typer()
    app.command(name, cls=VerbCommand)(_called_by_typer(load(verb)))
    command = typer.main.get_command(app)
    command.name = name
    taken = {flag for one in command.params for flag in one.opts}
    for option in ours:
        mine = copy.copy(option)
        mine.opts = [flag for flag in option.opts if flag not in taken]
        mine.everywhere = True
        if mine.opts:
            command.params.append(mine)
    return command


def load(verb: Verb) -> Function:
    """The function of a verb, from its module."""
    found: Function = getattr(_module(verb), verb.where.partition(":")[2])
    return found


def _module(verb: Verb) -> Any:
    return importlib.import_module(f"cronflow.cli.verbs.{verb.where.partition(':')[0]}")


def _called_by_typer(function: Function) -> Function:
    """The function with typer's context in the place of its Invocation, which is made of the global options."""
    first, *rest = inspect.signature(function, eval_str=True).parameters.values()
    if first.annotation is inspect.Parameter.empty or first.name != "invocation":
        raise TypeError(f"the first parameter of {function.__name__} is not `invocation: Invocation`")
    flags = {one.name: one.annotation for one in rest if hasattr(one.annotation, "_fields")}
    rest = [each for one in rest for each in (_flags(flags[one.name]) if one.name in flags else [one])]
    own = {one.name for one in rest}

    def call(context: typer.Context, **values: Any) -> int | None:
        options = _options(context)
        values = {name: value for name, value in values.items() if name in own or name not in GLOBAL}
        if "state" in own and isinstance(values["state"], list | tuple):
            folders = [value for value in values["state"] if "/" in value]
            values["state"] = [value for value in values["state"] if "/" not in value]
            options = options._replace(state=folders[-1]) if folders else options
        for name, kind in flags.items():
            values[name] = kind(**{field: values.pop(field) for field in kind._fields})
        gc.freeze()
        gc.enable()
        return function(find_invocation(options, sys.argv[1:]), **values)

    call.__doc__ = function.__doc__
    return _signed(call, rest)


def _flags(kind: Any) -> list[inspect.Parameter]:
    """The flags of a named tuple as parameters."""
    annotations = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotations[name])
        for name, default in kind._field_defaults.items()
    ]


def _signed(call: Function, rest: list[inspect.Parameter]) -> Function:
    """The function with the parameters that typer is to see: the context, and these."""
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    call.__annotations__ = {}
    call.__signature__ = inspect.Signature([context, *rest])  # type: ignore[attr-defined]  # PEP 362 reads it
    return call


def _options(context: typer.Context) -> Options:
    """The global options: the nearest context to the verb that has one of them set."""
    found: dict[str, Any] = dict.fromkeys(GLOBAL)
    chain: Any = context
    own = {one.name for one in context.command.params if not getattr(one, "everywhere", False)}
    while chain is not None:
        for name in GLOBAL:
            if not found[name] and not (chain is context and name in own):
                found[name] = chain.params.get(name)
        chain = chain.parent
    return Options(found["file"], found["state"], bool(found["json"]), bool(found["no_color"]))
