"""What can go wrong, as kinds: a CronflowError ends a command; a Problem is a place in a job file with a message and a hint."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Exit:
    """The exit statuses of commands, as cronflow(1) lists them."""

    FAILED: Final = 1
    USAGE: Final = 2
    NOT_RUNNING: Final = 3
    NOT_FOUND: Final = 4
    NOT_PERMITTED: Final = 5
    INTERRUPTED: Final = 130


class CronflowError(Exception):
    """A sentence for the user, what to do next, and the exit status of the command."""

    def __init__(self, message: str, hint: str | None = None, exit_status: int = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_status = exit_status


class Span(NamedTuple):
    """A place in a file: 1-based line and column (in characters) and the length of what is meant; `text` is the whole line."""

    file: str
    line: int
    column: int
    length: int = 1
    text: str = ""


class Problem(NamedTuple):
    """One thing about a job file that a person should change. `span` is None when the file as a whole is meant."""

    severity: Literal["error", "warning"]
    message: str
    hint: str | None = None
    span: Span | None = None


class JobFileError(CronflowError):
    """A job file with errors: every problem of it, in order of place. Exit status 1."""

    def __init__(self, problems: list[Problem]) -> None:
        errors = [problem for problem in problems if problem.severity == "error"]
        super().__init__(errors[0].message if errors else "the job file has problems")
        self.problems = problems
