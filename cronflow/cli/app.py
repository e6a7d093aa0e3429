"""The verbs, and the typer app made of them: only the module of the verb that was given is imported.

A verb is a function whose first parameter is the Caller and whose docstring is its help; it returns the exit status (None: 0).
`--file`, `--state`, `--json` and `--no-color` belong to the group and, the same objects, to every verb; what stands after
the verb counts. Where a verb has a flag of that name itself (`logs -f`), it is the verb's after the verb.
"""

from __future__ import annotations

import copy
import gc
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from cronflow import __version__
from cronflow.cli.invocation import find_caller
from cronflow.errors import CronflowError, Exit

Verb = Callable[..., int | None]

VERBS: Mapping[str, Mapping[str, str | Mapping[str, str]]] = {
    "Look": {
        "status": "status:status",
        "logs": "logs:logs",
        "runs": "runs:runs",
        "next": "next:next_slots",
        "why": "why:why",
        "graph": "graph:graph",
        "env": "env:env",
    },
    "Act": {
        "run": "run:run",
        "retry": "retry:retry",
        "cancel": "cancel:cancel",
        "approve": "approve:approve",
        "reject": "approve:reject",
        "pause": "pause:pause",
        "resume": "resume:resume",
        "skip": "skip:skip",
        "backfill": "backfill:backfill",
    },
    "The job file and the daemon": {
        "init": "init:init",
        "check": "check:check",
        "plan": "plan:plan",
        "forecast": "forecast:forecast",
        "daemon": "daemon:daemon",
        "reload": "reload:reload",
        "stop": "stop:stop",
        "prune": "prune:prune",
    },
    "Set up": {
        "alerts": {"test": "alerts:send_test", "list": "alerts:list_alerts"},
        "import": "import_:import_",
        "export": "export:export",
        "service": {"install": "service:install"},
        "doctor": "doctor:doctor",
        "schema": "schema:schema",
        "completion": "completion:completion",
    },
}
"""Heading → verb → `module:function` in this package; a verb of verbs is a table."""

WHERE = {verb: where for section in VERBS.values() for verb, where in section.items()}
GLOBAL = ("file", "state", "json", "no_color")
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
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


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


def _write(formatter: Any, title: str, rows: list[tuple[str, str]]) -> None:
    """A section of the help, if there is anything in it."""
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def _argument(one: Any, plain: bool = False) -> str:
    name = one.metavar or (one.name or "").upper()
    return name if plain or one.required else f"[{name}]"


class Verbs(TyperGroup):
    """The group of all verbs: a command is made when it is asked for."""

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(WHERE)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        where = WHERE.get(cmd_name)
        return None if where is None else self._made(cmd_name, where)

    def _made(self, name: str, where: str | Mapping[str, str]) -> Any:
        if name not in self.commands:
            ours = [one for one in self.params if one.name in GLOBAL]
            self.commands[name] = _command(name, where, ours) if isinstance(where, str) else _group(name, where, ours)
        return self.commands[name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in WHERE and not args[0].startswith("-"):
            raise _unknown("", args[0], list(WHERE))
        return super().resolve_command(ctx, args)

    def collect_usage_pieces(self, _ctx: Any) -> list[str]:
        return ["[OPTIONS]", "VERB", "…"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        widest = max(map(len, WHERE))
        for title, verbs in VERBS.items():
            _write(formatter, title, [(verb.ljust(widest), _short_help(verb, where)) for verb, where in verbs.items()])
        _write(formatter, "Options", [row for one in self.get_params(ctx) if (row := one.get_help_record(ctx))])


def _short_help(verb: str, where: str | Mapping[str, str]) -> str:
    """The first sentence of a verb's help: of the docstring of its function, or for a verb of verbs of its module. It is taken
    from the compiled module, which is not run for it."""
    module, _, function = (where if isinstance(where, str) else verb).partition(":")
    spec = importlib.util.find_spec(f"cronflow.cli.verbs.{module}")
    get_code = getattr(spec.loader if spec is not None else None, "get_code", None)
    if spec is None or get_code is None:
        return ""
    code = get_code(spec.name)
    body = next((one for one in code.co_consts if getattr(one, "co_name", None) == function), code)
    said = body.co_consts[0]
    paragraph = " ".join(said.partition("\n\n")[0].split()) if isinstance(said, str) else ""
    return f"{paragraph.partition('. ')[0].removesuffix('.')}." if paragraph else ""


class VerbGroup(TyperGroup):
    """A verb of verbs: `cronflow alerts test`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise _unknown(f"{ctx.info_name} ", args[0], list(self.commands))
        return super().resolve_command(ctx, args)

    def collect_usage_pieces(self, _ctx: Any) -> list[str]:
        return ["|".join(self.commands), "…"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write(formatter, "Verbs", [(name, command.get_short_help_str(200)) for name, command in self.commands.items()])
        _write(formatter, "Global options", [row for one in self.get_params(ctx) if (row := one.get_help_record(ctx))])


def _unknown(path: str, word: str, known: list[str]) -> CronflowError:
    """The usage error for a verb that is none, with the nearest one as its hint."""
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


def _command(name: str, where: str, ours: list[Any]) -> Any:
    function = load(where)
    app = _typer()
    app.command(name, cls=VerbCommand)(_called_by_typer(function))
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


def _group(name: str, table: Mapping[str, str], ours: list[Any]) -> Any:
    app = _typer(cls=VerbGroup, invoke_without_command=True)
    module = importlib.import_module(f"cronflow.cli.verbs.{name}")

    def show(context: typer.Context, **_: Any) -> None:
        if context.invoked_subcommand is None:
            sys.stdout.write(context.get_help() + "\n")

    app.callback(help=module.__doc__)(_signed(show, []))
    group = typer.main.get_command(app)
    group.name = name
    for verb, where in table.items():
        group.add_command(_command(verb, where, ours))  # type: ignore[attr-defined]  # get_command says Command, and means a group
    group.params.extend(ours)
    return group


def load(where: str) -> Verb:
    """The function of a verb, from its module."""
    module, _, function = where.partition(":")
    found: Verb = getattr(importlib.import_module(f"cronflow.cli.verbs.{module}"), function)
    return found


def _called_by_typer(function: Verb) -> Callable[..., int | None]:
    """The function with typer's context in the place of its Caller, which is made of the global options."""
    signature = inspect.signature(function, eval_str=True)
    first, *rest = signature.parameters.values()
    if first.annotation is inspect.Parameter.empty or first.name != "caller":
        raise TypeError(f"the first parameter of {function.__name__} is not `caller: Caller`")

    def call(context: typer.Context, **values: Any) -> int | None:
        options = _options(context)
        for name in GLOBAL:
            if name not in own:
                values.pop(name, None)
        if "state" in own and isinstance(values["state"], list | tuple):
            folders = [value for value in values["state"] if "/" in value]
            values["state"] = [value for value in values["state"] if "/" not in value]
            options["state"] = folders[-1] if folders else options["state"]
        gc.freeze()
        gc.enable()
        return function(find_caller(**options, arguments=sys.argv[1:]), **values)

    own = {one.name for one in rest}
    call.__doc__ = function.__doc__
    return _signed(call, rest)


def _signed(call: Callable[..., int | None], rest: list[inspect.Parameter]) -> Callable[..., int | None]:
    """The function with the parameters that typer is to see: the context, and these."""
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    call.__annotations__ = {}
    call.__signature__ = inspect.Signature([context, *rest])  # type: ignore[attr-defined]  # PEP 362 reads it
    return call


def _options(context: typer.Context) -> dict[str, Any]:
    """The global options: the nearest context to the verb that has one of them set."""
    found: dict[str, Any] = dict.fromkeys(GLOBAL)
    chain: Any = context
    own = {one.name for one in context.command.params if not getattr(one, "everywhere", False)}
    while chain is not None:
        for name in GLOBAL:
            if not found[name] and not (chain is context and name in own):
                found[name] = chain.params.get(name)
        chain = chain.parent
    return {**found, "json": bool(found["json"]), "no_color": bool(found["no_color"])}
