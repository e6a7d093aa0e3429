"""One call of the program, and how to answer it: the places, the terminal, the two streams."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cronflow.places import Places, find_places

if TYPE_CHECKING:
    from cronflow.cli.masking import Masking
    from cronflow.cli.screens.style import Style
    from cronflow.core.jobs import Job, JobSet
    from cronflow.core.words import Clock
    from cronflow.errors import JobFileError
    from cronflow.facts.json_form import JsonForm
    from cronflow.facts.known import KnownJobs
    from cronflow.jobfile.read import Reading
    from cronflow.store.queries import History

SCHEMA = 1
"""The version of every JSON answer."""

_ASCII = str.maketrans("✓✗▶‖·•─—–│├┌└×±⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "+x>=-----|||`x~**********") | {
    ord(sign): text for sign, text in (("→", "->"), ("←", "<-"), ("…", "..."))
}
"""The signs of our screens where the locale cannot show them."""


class Options(NamedTuple):
    """The global options as given: `file` and `state` None where they were not."""

    file: str | None = None
    state: str | None = None
    json: bool = False
    no_color: bool = False


class Terminal(NamedTuple):
    """What standard output can show. `tty`: it is a terminal. `width`: its columns, None where nothing is to be cut (a pipe, a
    file). `unicode`: the locale is UTF-8."""

    tty: bool = False
    width: int | None = None
    color: bool = False
    unicode: bool = True


NO_OPTIONS = Options()
PIPE = Terminal()


class Invocation:
    """One call of the program: what was asked, and how to answer. `json`: the answer is one object. `now`: when the program was
    called, epoch seconds. `words`: the command line as typed, for the history of acts."""

    def __init__(
        self,
        places: Places,
        options: Options = NO_OPTIONS,
        terminal: Terminal = PIPE,
        now: float | None = None,
        words: str = "",
    ) -> None:
        self.places = places
        self.options = options
        self.json = options.json
        self.tty, self.width, self.color, self.unicode = terminal
        self.words = words
        self.now = time.time() if now is None else now
        self._zone: str | None = None
        self._reading: Reading | None = None
        self._masking: Masking | None = None

    def out(self, text: str, end: str = "\n") -> None:
        """A result, to standard output. Signs that the locale cannot show become ASCII."""
        sys.stdout.write(self._shown(text) + end)

    def warn(self, text: str, end: str = "\n") -> None:
        """A message or progress, to standard error."""
        sys.stdout.flush()
        sys.stderr.write(self._shown(text) + end)
        sys.stderr.flush()

    def notes(self, reply: Mapping[str, Any]) -> list[str]:
        """The notes in a reply of the daemon; without `--json` they are shown at once."""
        notes = list(reply.get("notes", ()))
        for note in () if self.json else notes:
            self.warn(note)
        return notes

    def _shown(self, text: str) -> str:
        """A text as the locale can show it; a cut line still fits the terminal, although its sign has become longer."""
        if self.unicode:
            return text
        lines = text.translate(_ASCII).split("\n")
        width = self.width
        if width is not None:
            lines = [f"{one[: width - 3]}..." if len(one) > width and one.endswith("...") else one for one in lines]
        return "\n".join(lines)

    def print_json(self, data: Mapping[str, Any]) -> None:
        """The one object of `--json`, to standard output; `schema` is put before its keys."""
        sys.stdout.write(as_json({"schema": SCHEMA, **data}) + "\n")

    def masks(self, job: Job | None) -> list[str]:
        """The values that are to be masked in the output of a job."""
        if job is None or not job.secrets:
            return []
        if self._masking is None:
            from cronflow.cli.masking import Masking

            self._masking = Masking(self.places, self.warn)
        return self._masking.of(job)

    def style(self, now: float | None = None) -> Style:
        """The style of the screens of this call, as of now or of another instant."""
        from cronflow.cli.screens.style import style_for

        return style_for(self.zone, self.now if now is None else now, self.width, self.color)

    @property
    def clock(self) -> Clock:
        """How instants are shown: to a person at a terminal, or to a program."""
        from cronflow.core.words import Clock

        return Clock(self.zone, self.now, self.tty)

    def json_form(self) -> JsonForm:
        """The documented JSON, times in the zone of this call."""
        from cronflow.facts.json_form import JsonForm

        return JsonForm(self.places, self.zone)

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
        """The jobs to go by, whose zone is then used for times. A broken job file is reported on standard error. It is the
        JobFileError only if jobs are `required` and neither a daemon nor the history has any."""
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
            self.warn(f"warning: {where}{error.message}; what follows is {source}")
            self.warn("  = hint: `cronflow check` shows all that is wrong with the job file")
            return known

    def _jobs_of_daemon(self, broken: JobFileError) -> KnownJobs | None:
        """The jobs that the daemon has in force; None if none answers."""
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
        """The same for a command that cannot use the jobs of the history: a broken job file is a JobFileError."""
        from cronflow.facts.known import jobs_of_file

        known = jobs_of_file(self.places, self.now)
        self._zone = known.zone or self._zone
        return known

    def use_zone_of_file(self) -> None:
        """Show times in the zone of the job file, without reading the rest of it."""
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


def find_invocation(options: Options, arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> Invocation:
    """The invocation by these options: where the streams lead, and what they can show (NO_COLOR: https://no-color.org)."""
    tty = sys.stdout.isatty()
    color = tty and not options.no_color and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    terminal = Terminal(tty, _columns(environ) if tty else None, color, utf8(environ))
    places = find_places(options.file, options.state, environ)
    return Invocation(places, options, terminal, words=shlex.join(["cronflow", *arguments]))


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
