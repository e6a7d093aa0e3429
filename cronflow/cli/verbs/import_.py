"""`cronflow import`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args

import typer

from cronflow.cli.invocation import Invocation
from cronflow.cli.writing import create, failed
from cronflow.core.words import count
from cronflow.errors import CronflowError, Exit, Problem, Span

if TYPE_CHECKING:
    from cronflow.core.jobs import JobSet
    from cronflow.crontab.convert import Import
    from cronflow.crontab.sources import ReadingOptions

LONGEST = 36_500
"""Days of a proof."""


class Tables(NamedTuple):
    """Which tables of cron are meant, unless they are a file."""

    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="The crontab of a user.")] = None
    system: Annotated[bool, typer.Option("--system", help="All tables of the machine, and its folders of run-parts.")] = False
    root: Annotated[str, typer.Option("--root", metavar="DIR", help="With --system or --user: of the system below DIR.")] = "/"
    table: Annotated[
        str, typer.Option("--table", metavar="auto|user|system|anacron", help="What the table is; else found by looking.")
    ] = "auto"
    dialect: Annotated[
        str, typer.Option("--dialect", metavar="auto|debian|cronie|busybox", help="Whose rules hold; else found by looking.")
    ] = "auto"


def import_(
    invocation: Invocation,
    tables: Tables,
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="A crontab, - for standard input.")] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="OUT", help="Write the job file there.")] = None,
    prove: Annotated[int | None, typer.Option("--prove", metavar="DAYS", help="Compare the starts of the next days.")] = None,
    shadow: Annotated[str | None, typer.Option("--shadow", metavar="LOG", help="Compare with what cron has logged.")] = None,
) -> int:
    """Write a job file from a crontab: a file, standard input, a user's, or all tables of the machine.

    Without any of these it is the crontab of who calls. The job file is printed, or written to OUT, which is never overwritten;
    nothing else on the machine is changed. Lines that cron refuses or never runs are told with the rule, and are comments in the
    job file; then the exit status is 1.
    """
    from cronflow.crontab import sources, writing
    from cronflow.crontab.convert import convert

    choice = _choice(file, tables, prove)
    if tables.system:
        found = sources.of_machine(tables.root, choice)
        if not found.tables:
            message = f"there is no table of cron below `{tables.root}`"
            raise CronflowError(message, "`cronflow init` writes a job file to begin with")
    else:
        one = sources.of_file(file, choice) if file is not None else sources.of_user(tables.user, tables.root, choice)
        found = sources.MachineTables([one], {}, [])
    log = None if shadow is None else _log(shadow)
    done = convert(found.tables, found.folders)
    text = writing.write(done)
    if output is not None:
        create(output, text, "name another file with `-o`, or move it away", "name another file")
    if not invocation.json:
        _tell(invocation, done, found.left_out)
    status = 1 if done.refused else 0
    if prove is not None or log is not None:
        checked = _checked(invocation, done, _read_back(text), prove, log)
        return 1 if checked else status
    if invocation.json:
        invocation.print_json(_as_data(done, found.left_out, output, text))
    elif output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())  # as it is, whatever the locale can show
    if not invocation.json:
        _conclude(invocation, done, output)
    return status


def _choice(file: str | None, tables: Tables, prove: int | None) -> ReadingOptions:
    """What was asked for, as far as it makes sense together."""
    from cronflow.crontab.sources import ReadingOptions
    from cronflow.crontab.tables import Daemon, TableKind

    user, system, root, table, dialect = tables
    if sum((file is not None, user is not None, system)) > 1:
        raise CronflowError("FILE, `--user` and `--system` are three places to read from", "name one of them", Exit.USAGE)
    if root != "/" and not (system or user):
        raise CronflowError("`--root` goes with `--system` or `--user`", None, Exit.USAGE)
    for given, known, flag in ((table, ("auto", *get_args(TableKind)), "--table"), (dialect, get_args(Daemon), "--dialect")):
        if given not in known:
            raise CronflowError(f"`{flag}` knows no `{given}`", f"it takes {', '.join(known)}", Exit.USAGE)
    if prove is not None and not 0 < prove <= LONGEST:
        raise CronflowError(f"`--prove {prove}` is not a number of days to look ahead", f"from 1 to {LONGEST:,}", Exit.USAGE)
    kind = next((one for one in get_args(TableKind) if one == table), None)
    return ReadingOptions(kind, next(one for one in get_args(Daemon) if one == dialect))


def _read_back(text: str) -> JobSet:
    """The jobs of the written job file, read as the daemon does."""
    import tempfile

    from cronflow.jobfile.read import read

    with tempfile.TemporaryDirectory(prefix="cronflow-import-") as folder:
        path = os.path.join(folder, "jobs.toml")
        create(path, text, "", "")
        return read(path, thorough=False).jobs


def _tell(invocation: Invocation, done: Import, left_out: list[tuple[str, str]]) -> None:
    """Refused lines, files that were left out, and notes, to standard error."""
    from cronflow.jobfile.render import plain, render

    color = invocation.color and sys.stderr.isatty()
    for one in done.refused:
        refusal = one.refusal
        span = Span(one.table, refusal.line, refusal.column, refusal.length, refusal.text)
        invocation.warn(render(Problem("error", f"not imported: {refusal.rule}", refusal.hint or None, span), color) + "\n")
    for path, reason in left_out:
        invocation.warn(f"left out: {plain(path)}: {reason}")
    for note in done.notes:
        place = f"{note.table}:{note.line}" if note.line else note.table
        invocation.warn(f"note: {plain(place)}: {plain(note.text)}")
    if done.comments:
        invocation.warn(f"note: left out: {count(done.comments, 'line')} of comments that explain crontabs")


def _conclude(invocation: Invocation, done: Import, output: str | None) -> None:
    refused = f", {count(len(done.refused), 'line')} refused" if done.refused else ""
    where = "" if output is None else f"; wrote {output}"
    invocation.warn(f"{count(len(done.jobs), 'job')} from {count(len(done.tables), 'table')}{refused}{where}")
    if output is not None and done.jobs:
        invocation.warn(f"next: read it; `cronflow check {output}`; `--prove 30` compares the starts; then empty the crontab")


def _as_data(done: Import, left_out: list[tuple[str, str]], output: str | None, text: str) -> dict[str, Any]:
    return {
        "file": output,
        "toml": text if output is None else None,
        "imported": [
            {
                "job": job.name,
                "file": job.table,
                "line": job.entry.line,
                "schedule": job.keys.get("schedule"),
                "notes": list(job.notes),
            }
            for job in done.jobs
        ],
        "refused": [
            {
                "file": one.table,
                "line": one.refusal.line,
                "column": one.refusal.column,
                "text": one.refusal.text,
                "message": one.refusal.rule,
                "hint": one.refusal.hint or None,
            }
            for one in done.refused
        ],
        "left_out": [{"file": path, "message": reason} for path, reason in left_out],
        "notes": [{"file": note.table, "line": note.line or None, "message": note.text} for note in done.notes],
    }


def _log(path: str) -> str:
    """The text of a log, `-` for standard input."""
    try:
        if path == "-":
            return sys.stdin.buffer.read().decode("utf-8", "replace")
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        other = "`journalctl -u cron -o short-iso > LOG` makes one"
        raise failed(error, "read", "call it with `sudo`" if isinstance(error, PermissionError) else other) from None


def _checked(invocation: Invocation, done: Import, jobs: JobSet, days: int | None, log: str | None) -> bool:
    """Show the proof and the shadow. Whether something in them has no reason."""
    from cronflow.cli.screens import importing, secondopinion
    from cronflow.core.time.secondopinion import opinions
    from cronflow.crontab import proof, shadow

    told: dict[str, Any] = {}
    wrong = False
    invocation.zone = jobs.timezone
    if days is not None:
        start = int(invocation.now) // 60 * 60 + 60
        proved = list(proof.prove(done.jobs, jobs.jobs, start, start + days * 86_400))
        wrong |= any(one.unexplained for one in proved)
        told["proof"] = importing.proof_answer(proved, invocation.zone)
        second = list(opinions(jobs.jobs.values(), invocation.now))
        told["croniter"] = secondopinion.answer(second)
        if not invocation.json:
            invocation.out(importing.proof_screen(proved, start, days, invocation.zone))
            invocation.out("\n".join(secondopinion.notes(second)))
    if log is not None:
        starts = shadow.read(log, invocation.now, invocation.zone)
        if not starts:
            hint = "lines of syslog or the journal that say `(USER) CMD (…)`: `journalctl -u cron -o short-iso`"
            raise CronflowError("there is no start of cron in the log", hint)
        compared = shadow.compare(done.jobs, jobs.jobs, starts)
        wrong |= bool(compared.unexplained)
        told["shadow"] = importing.shadow_answer(compared, invocation.zone)
        if not invocation.json:
            invocation.out(importing.shadow_screen(compared, invocation.zone))
    if invocation.json:
        invocation.print_json(told)
    return wrong
