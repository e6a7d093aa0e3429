"""Who called, and how to answer: the places, the terminal, the two streams."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cronflow.places import Places, find_places

if TYPE_CHECKING:
    from cronflow.cli.masking import Masking
    from cronflow.core.jobs import Job, JobSet
    from cronflow.errors import JobFileError
    from cronflow.facts.known import KnownJobs
    from cronflow.jobfile.read import Reading
    from cronflow.store.queries import History

SCHEMA = 1
"""The version of every JSON answer."""

_ASCII = str.maketrans(
    {
        **dict.fromkeys("✓", "+"),
        **dict.fromkeys("✗", "x"),
        **dict.fromkeys("▶", ">"),
        **dict.fromkeys("‖", "="),
        **dict.fromkeys("·•", "-"),
        **dict.fromkeys("─—–", "-"),
        **dict.fromkeys("│", "|"),
        **dict.fromkeys("├┌", "|"),
        **dict.fromkeys("└", "`"),
        **dict.fromkeys("×", "x"),
        **dict.fromkeys("±", "~"),
        **dict.fromkeys("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "*"),
        "→": "->",
        "←": "<-",
        "…": "...",
    }
)
"""The signs of our screens where the locale cannot show them."""


class Caller:
    """One call of the program. `width` is the columns of the terminal, None where nothing is to be cut (a pipe, a file).

    `json`: the answer is one object. `tty`: standard output is a terminal. `unicode`: the locale is UTF-8. `now`: when the
    program was called, epoch seconds. `words`: the command line as typed, for the history of acts. `file_option` and
    `state_option` are what was given for `--file` and `--state`.
    """

    def __init__(
        self,
        places: Places,
        json: bool = False,
        color: bool = False,
        tty: bool = False,
        width: int | None = None,
        unicode: bool = True,
        now: float | None = None,
        words: str = "",
        file_option: str | None = None,
        state_option: str | None = None,
    ) -> None:
        self.places = places
        self.json = json
        self.color = color
        self.tty = tty
        self.width = width
        self.unicode = unicode
        self.words = words
        self.file_option = file_option
        self.state_option = state_option
        self.now = time.time() if now is None else now
        self._zone: str | None = None
        self._reading: Reading | None = None
        self._masking: Masking | None = None

    # ---- answering -------------------------------------------------------------------------------------------------------

    def out(self, text: str, end: str = "\n") -> None:
        """A result, to standard output. Signs that the locale cannot show become ASCII."""
        sys.stdout.write(self._shown(text) + end)

    def note(self, text: str, end: str = "\n") -> None:
        """A message or progress, to standard error."""
        sys.stdout.flush()
        sys.stderr.write(self._shown(text) + end)
        sys.stderr.flush()

    def _shown(self, text: str) -> str:
        """A text as the locale can show it; a cut line still ends within the terminal, although its sign has grown."""
        if self.unicode:
            return text
        lines = text.translate(_ASCII).split("\n")
        width = self.width
        if width is not None:
            lines = [f"{one[: width - 3]}..." if len(one) > width and one.endswith("...") else one for one in lines]
        return "\n".join(lines)

    def answer(self, data: Mapping[str, Any]) -> None:
        """The one object of `--json`, to standard output; `schema` is put before its keys."""
        sys.stdout.write(as_json({"schema": SCHEMA, **data}) + "\n")

    def masks(self, job: Job | None) -> list[str]:
        """The values that are to be masked in the output of a job."""
        if job is None or not job.secrets:
            return []
        if self._masking is None:
            from cronflow.cli.masking import Masking

            self._masking = Masking(self.places, self.note)
        return self._masking.of(job)

    # ---- what there is ---------------------------------------------------------------------------------------------------

    @property
    def reading(self) -> Reading:
        """The job file as it is now, read once, without the warnings of `check`. JobFileError if it has errors."""
        if self._reading is None:
            from cronflow.jobfile.read import read  # tomllib and the checks: not for those who only talk to the daemon

            self._reading = read(str(self.places.file), thorough=False)
        return self._reading

    @property
    def jobs(self) -> JobSet:
        """The jobs of the job file. JobFileError if it has errors."""
        return self.reading.jobs

    def known_jobs(self, history: History, required: bool = True) -> KnownJobs:
        """The jobs to go by, in whose zone times are then shown. A broken job file is told on standard error; if there is no
        daemon, and the history has no jobs either, and jobs are `required`, it is the JobFileError."""
        from cronflow.errors import JobFileError
        from cronflow.facts.known import jobs_of_history

        try:
            return self.jobs_of_file()
        except JobFileError as error:
            known, source = self._jobs_of_daemon(error), "what the daemon has in force"
            if known is None:
                known, source = jobs_of_history(history, error), "what the history knows"
                if required and not known.jobs:
                    raise
                self.use_zone_of_file()
            place = error.problems[0].span if error.problems else None
            where = f"{place.file}:{place.line}: " if place else ""
            self.note(f"warning: {where}{error.message}; what follows is {source}")
            self.note("  = hint: `cronflow check` shows all that is wrong with the job file")
            return known

    def _jobs_of_daemon(self, broken: JobFileError) -> KnownJobs | None:
        """The jobs by which the daemon goes on; None where none answers."""
        from cronflow.cli.client import connect
        from cronflow.core.plan.effective import from_plain
        from cronflow.errors import CronflowError
        from cronflow.facts.known import jobs_in_force

        try:
            with connect(self.places) as daemon:
                held = from_plain(daemon.ask("in_force", seconds=2.0)["in_force"])
        except CronflowError:
            return None
        self._zone = held.timezone or self._zone
        return jobs_in_force(held, broken)

    def jobs_of_file(self) -> KnownJobs:
        """The same for a command that has no use for the jobs of the history: a broken job file is a JobFileError."""
        from cronflow.facts.known import jobs_of_file

        known = jobs_of_file(self.places, self.now)
        self._zone = known.zone or self._zone
        return known

    def use_zone_of_file(self) -> None:
        """Show times in the job file's zone, without reading more of it than that."""
        from cronflow.facts.known import zone_of_file

        self._zone = zone_of_file(self.places) or self._zone

    @property
    def zone(self) -> str:
        """The zone in which times are shown: that of the job file where it has been read, else the machine's."""
        if self._zone is None:
            if self._reading is not None:
                return self._reading.jobs.timezone
            from cronflow.jobfile.machine import machine_zone

            self._zone = machine_zone()
        return self._zone

    @zone.setter
    def zone(self, name: str) -> None:
        self._zone = name


def as_json(data: Mapping[str, Any]) -> str:
    """JSON as a person can read it on a terminal and a program anywhere: UTF-8 unescaped where standard output takes it."""
    import json

    plain = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    return json.dumps(data, ensure_ascii=plain, indent=2 if sys.stdout.isatty() else None, default=str)


def find_caller(
    file: str | None,
    state: str | None,
    json: bool,
    no_color: bool,
    arguments: Sequence[str],
    environ: Mapping[str, str] = os.environ,
) -> Caller:
    """The caller for options as given: where the streams lead, and what they can show (NO_COLOR: https://no-color.org)."""
    tty = sys.stdout.isatty()
    color = tty and not no_color and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Caller(
        find_places(file, state, environ),
        json=json,
        color=color,
        tty=tty,
        width=_columns(environ) if tty else None,
        unicode=utf8(environ),
        words=shlex.join(["cronflow", *arguments]),
        file_option=file,
        state_option=state,
    )


def _columns(environ: Mapping[str, str]) -> int:
    named = environ.get("COLUMNS", "")
    if named.isascii() and named.isdigit() and int(named) > 0:
        return int(named)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def utf8(environ: Mapping[str, str]) -> bool:
    """Whether the locale is UTF-8, by the order of locale(7): LC_ALL, LC_CTYPE, LANG. None of them is the C locale, which is not.

    Python itself sets LC_CTYPE=C.UTF-8 where it finds the C locale (PEP 538); then the environment that it was given tells."""
    named = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    if named == "C.UTF-8" and not environ.get("LC_ALL") and not _given_lc_ctype():
        named = environ.get("LANG") or ""
    return "utf8" in named.lower().replace("-", "")


def _given_lc_ctype() -> bool:
    try:
        with open("/proc/self/environ", "rb") as file:
            return any(entry.startswith(b"LC_CTYPE=") for entry in file.read().split(b"\0"))
    except OSError:
        return True
