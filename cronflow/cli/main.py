"""The program: runs the verb, and turns whatever goes wrong into two lines and an exit status."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

from cronflow.errors import Exit

if TYPE_CHECKING:
    from cronflow.errors import JobFileError

BROKEN_PIPE = 141
"""What a shell reports of a program that a closed pipe ended: 128 + SIGPIPE."""


def main() -> NoReturn:
    """The entry point of the `cronflow` command.

    What has been imported is there to stay: to have the collector look through it, at the start and again at the exit, is a
    tenth of the time of a short command. It is on again when the verb begins (see `app`)."""
    gc.disable()
    status = call(sys.argv[1:])
    gc.freeze()
    sys.exit(status)


def call(arguments: Sequence[str]) -> int:
    """Run a command line; the exit status. Nothing escapes: a defect is a sentence too, its traceback goes to a file."""
    _prepare_streams()
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _no_more(sys.stdout)
        return BROKEN_PIPE
    except OSError as error:
        return _system_error(error, arguments)
    except Exception as error:
        return _defect(error, arguments)
    return status


def _run(arguments: Sequence[str]) -> int:
    import typer  # here, within the reach of what handles Ctrl-C

    from cronflow.cli.app import build
    from cronflow.errors import CronflowError

    program = build()
    try:
        with program.make_context("cronflow", list(arguments)) as context:
            status = program.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except CronflowError as error:
        return report(error, "--json" in arguments)
    except Exception as error:
        if _of_database(error):
            message, hint = f"the database cannot be read: {error}", "`cronflow daemon` moves a damaged one aside"
            return report(CronflowError(message, hint), "--json" in arguments)
        if not hasattr(error, "format_message"):
            raise
        from cronflow.cli.usage import usage_error

        return report(usage_error(error), "--json" in arguments)
    return status if isinstance(status, int) else 0


def _of_database(error: Exception) -> bool:
    """Whether an error comes from SQLite, and not from a wrong use of it. Does not import sqlite3, which may not be needed
    otherwise."""
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "sqlite3"}
    return "DatabaseError" in names and "ProgrammingError" not in names


def _prepare_streams() -> None:
    """Standard streams that the caller has closed lead to /dev/null, so that no socket or database gets their numbers. The
    others accept any name: files and jobs may have names that their encoding cannot express."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for as long as the program lasts)
        elif hasattr(stream, "reconfigure"):
            unicode = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if unicode else "backslashreplace")


def report(error: Exception, json: bool) -> int:
    """Report a CronflowError: two lines on stderr, every problem of a job file, or with `--json` one object on stdout."""
    from cronflow.cli.invocation import SCHEMA, as_json
    from cronflow.errors import CronflowError, JobFileError

    assert isinstance(error, CronflowError)
    if json:
        message, hint = _of_file(error) if isinstance(error, JobFileError) else (error.message, error.hint)
        told = {"message": message, "hint": hint, "exit": error.exit_status}
        sys.stdout.write(as_json({"schema": SCHEMA, "error": told}) + "\n")
        sys.stdout.flush()
    elif isinstance(error, JobFileError) and error.problems:
        from cronflow.jobfile.render import render

        _tell("\n\n".join(render(problem, _color()) for problem in error.problems if problem.severity == "error"))
    else:
        head = "\x1b[31merror\x1b[0m" if _color() else "error"
        _tell(f"{head}: {error.message}" + (f"\n  = hint: {error.hint}" if error.hint else ""))
    return error.exit_status


def _of_file(error: JobFileError) -> tuple[str, str | None]:
    """The first problem with its place; the hint of its one problem, or where to see them all."""
    errors = [problem for problem in error.problems if problem.severity == "error"]
    span = errors[0].span if errors else None
    message = f"{span.file}:{span.line}: {error.message}" if span is not None else error.message
    return message, errors[0].hint if len(errors) == 1 else f"`cronflow check --json` has all {len(errors)} problems"


def _tell(text: str) -> None:
    """Write to standard error; if that takes nothing (a log on a full disk), only the exit status tells."""
    sys.stdout.flush()
    try:
        sys.stderr.write(text.rstrip("\n") + "\n")
        sys.stderr.flush()
    except OSError:
        _no_more(sys.stderr)


def _color() -> bool:
    named = "--no-color" in sys.argv or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return sys.stderr.isatty() and not named


def _no_more(stream: TextIO) -> None:
    """Send what is still buffered for a closed pipe or a full disk to /dev/null, so that Python does not complain at its exit."""
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, stream.fileno())


def _system_error(error: OSError, arguments: Sequence[str]) -> int:
    """A file or stream of the user that cannot be used: full, read-only, not ours."""
    from cronflow.errors import CronflowError

    if not error.filename and error.errno not in _STREAM_ERRORS:
        return _defect(error, arguments)
    where = f"`{error.filename}`" if error.filename else "standard output"
    if not error.filename:
        _no_more(sys.stdout)
    status = Exit.NOT_PERMITTED if isinstance(error, PermissionError) else 1
    hint = "call it as the user that owns it, or with `sudo`" if status == Exit.NOT_PERMITTED else None
    return report(CronflowError(f"{where}: {(error.strerror or str(error)).lower()}", hint, status), "--json" in arguments)


_STREAM_ERRORS = (5, 27, 28, 122)
"""EIO, EFBIG, ENOSPC, EDQUOT: what writing to standard output may meet."""


def _defect(error: Exception, arguments: Sequence[str]) -> int:
    """A bug in the program: one line for the user, the traceback in a file."""
    from cronflow.errors import CronflowError

    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    path = _keep_traceback(error)
    hint = f"the details are in `{path}`; please send them to the authors" if path else None
    return report(CronflowError(f"cronflow has a defect: {what}", hint), "--json" in arguments)


def _keep_traceback(error: Exception) -> str | None:
    import platform
    import tempfile
    import traceback

    from cronflow import __version__
    from cronflow.places import find_places

    head = f"cronflow {__version__}, python {platform.python_version()}\n{sys.argv}\n\n"
    text = head + "".join(traceback.format_exception(error))
    for folder in (str(find_places().state), tempfile.gettempdir()):
        try:
            fd, path = tempfile.mkstemp(".txt", "cronflow-defect-", folder)
        except OSError:
            continue
        with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        return path
    return None


if __name__ == "__main__":
    main()
