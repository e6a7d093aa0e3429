"""Converts crontabs to the jobs of a job file, with notes for what a person should know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cronflow.core.words import WEEKDAYS
from cronflow.crontab import mail, naming, prose, variables
from cronflow.crontab.spelling import spell
from cronflow.crontab.tables import Comment, CrontabEntry, CronTable, Daemon, Refusal, Setting, TableKind

CRON = {"catchup": "none", "overlap": "allow"}
"""How cron treats missed slots, and jobs that are still running."""
BUSYBOX = {"catchup": "none", "overlap": "skip"}
"""The same for busybox, which does not start a job that is still running."""
ANACRON = {"catchup": "last", "overlap": "skip"}


GAP = "\n"
"""In a list of comment lines: the end of a block, which does not belong to what follows."""


class Note(NamedTuple):
    """A note for a person: the crontab, the line (0 for all of it), and a sentence."""

    table: str
    line: int
    text: str


class Refused(NamedTuple):
    """A line that is not imported, with its crontab."""

    table: str
    refusal: Refusal


class ImportedJob(NamedTuple):
    """A job for the job file. `keys` are its keys; `before` are the lines of comments above it."""

    name: str
    table: str
    entry: CrontabEntry
    daemon: Daemon
    kind: TableKind
    keys: dict[str, Any]
    variables: dict[str, str]
    before: tuple[str, ...]
    notes: tuple[str, ...]


class Import(NamedTuple):
    """Everything for the job file. `after` are the comments after the last job of a crontab, `about` those above a variable."""

    jobs: list[ImportedJob]
    targets: list[mail.MailTarget]
    refused: list[Refused]
    notes: list[Note]
    after: dict[str, list[str]]
    about: dict[tuple[str, str], list[str]]
    tables: list[str]
    sets_path: bool
    """Whether a crontab sets PATH."""
    comments: int
    """The number of comment lines that only explain crontabs, and are left out."""


def convert(tables: Sequence[CronTable], folders: Mapping[str, Sequence[str]] | None = None) -> Import:
    """Convert crontabs. `folders` are the scripts in the run-parts folders, if they are known."""
    conversion = _Conversion(folders or {})
    for table in tables:
        conversion.read(table)
    return conversion.done([table.name for table in tables])


class _Conversion:
    """A walk through crontabs, line by line."""

    def __init__(self, folders: Mapping[str, Sequence[str]]) -> None:
        self.folders = folders
        self.targets = mail.MailTargets()
        self.jobs: list[ImportedJob] = []
        self.refused: list[Refused] = []
        self.notes: list[Note] = []
        self.after: dict[str, list[str]] = {}
        self.about: dict[tuple[str, str], list[str]] = {}
        self.sets_path = False
        self.left_out = 0
        self.free: list[str] = []
        """Comments that are waiting for the next job."""
        self.group: list[Comment] = []

    def read(self, table: CronTable) -> None:
        self.notes.extend(Note(table.name, 0, text) for text in table.notes)
        in_force: dict[str, Setting] = {}
        used: set[int] = set()
        for item in table.items:
            if isinstance(item, Comment):
                self.group.append(item)
                continue
            if isinstance(item, CrontabEntry):
                self._entry(table, item, in_force)
                used.update(setting.line for setting in in_force.values())
                continue
            if isinstance(item, Setting):
                self._setting(table, item, in_force)
            else:
                self._keep_comments()
                if isinstance(item, Refusal):
                    self._refuse(table, item)
        self._keep_comments()
        if self.free:
            self.after[table.name] = self.free
            self.free = []
        used.update(one.refusal.line for one in self.refused if one.table == table.name)
        for item in table.items:
            if isinstance(item, Setting) and item.line not in used:
                self.notes.append(Note(table.name, item.line, f"`{item.name}` applies to no job below it: left out"))

    def _take_comments(self, describes: bool) -> prose.CommentBlock:
        """Interpret the comments read so far. `describes`: a job follows them directly."""
        block = prose.interpret(self.group, describes)
        self.left_out += block.left_out
        self.group = []
        return block

    def _keep_comments(self) -> None:
        """Keep comments that no job follows directly as comments."""
        kept = self._take_comments(False).kept
        self.free.extend([*kept, GAP] if kept else [])

    def _refuse(self, table: CronTable, refusal: Refusal) -> None:
        self.refused.append(Refused(table.name, refusal))
        self.free.extend((f"not imported, line {refusal.line}: {refusal.rule}", refusal.text.strip(), GAP))

    def _setting(self, table: CronTable, setting: Setting, in_force: dict[str, Setting]) -> None:
        if self.group and self.group[0].line == 1:
            self._keep_comments()  # the first comment is about the crontab
        elif self.group:
            self.about.setdefault((setting.name, setting.value), []).extend(self._take_comments(False).kept)
        verdict = variables.check(setting, f"{setting.name}={setting.value}", table.kind, table.daemon)
        if isinstance(verdict, Refusal):
            self._refuse(table, verdict)
            return
        if verdict:
            self.notes.append(Note(table.name, setting.line, verdict))
        in_force[setting.name] = setting
        self.sets_path |= setting.name == "PATH"

    def _entry(self, table: CronTable, entry: CrontabEntry, in_force: Mapping[str, Setting]) -> None:
        block = self._take_comments(True)
        self.free.extend(block.kept)
        values = {name: setting.value for name, setting in in_force.items()}
        keys: dict[str, Any] = {"description": block.description} if block.description else {}
        notes = [*entry.notes]
        keys.update(self._when(table, entry, notes))
        user = entry.user or table.owner
        if user:
            keys["user"] = user
        keys.update(variables.keys(values, table.kind, table.daemon))
        keys["alert"] = self._alert(values)
        keys["command"] = entry.command if entry.command.strip() else "true"
        if entry.stdin is not None:
            keys["stdin"] = entry.stdin
        self._folders(entry)
        before, self.free = tuple(self.free), []
        self.jobs.append(ImportedJob("", table.name, entry, table.daemon, table.kind, keys, values, before, tuple(notes)))
        self.notes.extend(Note(table.name, entry.line, text) for text in notes)

    def _folders(self, entry: CrontabEntry) -> None:
        for folder, scripts in self.folders.items():
            if f"{folder} " in f"{entry.command.rstrip(' );}')} ":
                self.free.append(f"in {folder} now: {', '.join(scripts) or 'nothing'}")

    def _when(self, table: CronTable, entry: CrontabEntry, notes: list[str]) -> dict[str, Any]:
        keys: dict[str, Any] = {}
        if entry.every is not None:
            keys["every"] = f"{entry.every}d"
        elif entry.times is None:
            keys["schedule"] = " ".join(entry.words)
        else:
            spelling = spell(entry.words, entry.times, table.daemon == "busybox" or table.kind == "anacron")
            keys["schedule"] = spelling.expression
            written = " ".join(entry.words)
            if spelling.expression != written:
                why = "picked from its ranges" if "~" in written else "which means the same here"
                notes.append(f"`{written}` is `{spelling.expression}`, {why}")
            if spelling.only_if:
                keys["only_if"] = spelling.only_if
                notes.append("in cron both day fields must match, which no schedule can express: `only_if` checks the weekday")
            if spelling.loses:
                notes.append("when the clock changes, cron treats this line as one that follows elapsed time")
        keys.update(ANACRON if table.kind == "anacron" else BUSYBOX if table.daemon == "busybox" else CRON)
        return keys

    def _alert(self, values: Mapping[str, str]) -> list[str] | None:
        """The alert targets of a job: None without MAILTO, an empty list if MAILTO is empty."""
        if "MAILTO" not in values:
            return None
        if not mail.addresses(values["MAILTO"]):
            return []
        return [self.targets.of(values["MAILTO"], values.get("MAILFROM", "")).name]

    def done(self, tables: list[str]) -> Import:
        requests = [_name_request(imported) for imported in self.jobs]
        jobs = [imported._replace(name=name) for imported, name in zip(self.jobs, naming.unique(requests), strict=True)]
        targets = self.targets.all
        rest = (self.refused, self.notes, self.after, self.about)
        return Import(jobs, targets, *rest, tables, self.sets_path, self.left_out)


def _name_request(imported: ImportedJob) -> naming.NameRequest:
    """The request for a name. Anacron's jobs already have names."""
    entry = imported.entry
    idea = naming.NameIdea(naming.slug(entry.name), ()) if entry.name else naming.idea(entry.command, entry.stdin)
    user, table = (naming.slug(text) for text in (imported.keys.get("user") or "", imported.table.rpartition("/")[2]))
    return naming.NameRequest(idea, moment(entry), user, table)


def moment(entry: CrontabEntry) -> str:
    """The time of a job in a word or two, for its name: `hourly`, `06-30`, `tue-08-30`, `every-5-min`, `reboot`."""
    if entry.words and entry.words[0][0] == "@":
        return entry.words[0][1:]
    times = entry.times
    if times is None:
        return ""
    if len(times.minutes) > 1:
        step = entry.words[0].removeprefix("*/")
        if step.isdigit():
            return f"every-{step}-min"
        return "every-minute" if len(times.minutes) == 60 else f"min-{min(times.minutes)}"
    if len(times.hours) == 24:
        return f"hourly-{min(times.minutes):02}"
    clock = f"{min(times.hours):02}-{min(times.minutes):02}"
    return f"{WEEKDAYS[min(times.weekdays)][:3].lower()}-{clock}" if len(times.weekdays) == 1 else clock
