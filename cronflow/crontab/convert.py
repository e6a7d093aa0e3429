"""From tables of cron to the jobs of a job file: what each line becomes, and what a person has to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cronflow.crontab import mail, naming, prose, variables
from cronflow.crontab.spelling import spell
from cronflow.crontab.tables import Comment, Daemon, Entry, Kind, Refusal, Setting, Table

CRON = {"catchup": "none", "overlap": "allow"}
"""How cron treats slots that it missed, and jobs that still run."""
ALONE = {"catchup": "none", "overlap": "skip"}
"""The same for busybox, which starts no job beside itself."""
ANACRON = {"catchup": "last", "overlap": "skip"}


GAP = "\n"
"""In a list of comment lines: what stands before it belongs together, and is no part of what follows."""


class Note(NamedTuple):
    """Something that a person should know: the table, the line (0: the whole table), and a sentence."""

    table: str
    line: int
    text: str


class Refused(NamedTuple):
    """A line that is not imported, with its table."""

    table: str
    refusal: Refusal


class Draft(NamedTuple):
    """A job to be. `keys` are those of the job file but for its name; `before` are lines of comments above it."""

    name: str
    table: str
    entry: Entry
    daemon: Daemon
    kind: Kind
    keys: dict[str, Any]
    variables: dict[str, str]
    before: tuple[str, ...]
    notes: tuple[str, ...]


class Import(NamedTuple):
    """All that a job file is made of. `after` are comments behind the last job of a table; `about` are those above a variable."""

    drafts: list[Draft]
    targets: list[mail.Target]
    refused: list[Refused]
    notes: list[Note]
    after: dict[str, list[str]]
    about: dict[tuple[str, str], list[str]]
    tables: list[str]
    sets_path: bool
    """Whether a table sets PATH."""
    comments: int
    """Lines of comments that only explain crontabs, and are left out."""


def convert(tables: Sequence[Table], folders: Mapping[str, Sequence[str]] | None = None) -> Import:
    """The jobs of these tables. `folders` are the scripts in the folders of run-parts, where they are known."""
    work = _Work(folders or {})
    for table in tables:
        work.read(table)
    return work.done([table.name for table in tables])


class _Work:
    """A walk through tables, line by line."""

    def __init__(self, folders: Mapping[str, Sequence[str]]) -> None:
        self.folders = folders
        self.targets = mail.Targets()
        self.drafts: list[Draft] = []
        self.refused: list[Refused] = []
        self.notes: list[Note] = []
        self.after: dict[str, list[str]] = {}
        self.about: dict[tuple[str, str], list[str]] = {}
        self.sets_path = False
        self.left_out = 0
        self.free: list[str] = []
        """Comments that wait for the next job."""
        self.group: list[Comment] = []

    def read(self, table: Table) -> None:
        self.notes.extend(Note(table.name, 0, text) for text in table.notes)
        held: dict[str, Setting] = {}
        used: set[int] = set()
        for item in table.items:
            if isinstance(item, Comment):
                self.group.append(item)
                continue
            if isinstance(item, Entry):
                self._entry(table, item, held)
                used.update(setting.line for setting in held.values())
                continue
            if isinstance(item, Setting):
                self._setting(table, item, held)
            else:
                self._aside()
                if isinstance(item, Refusal):
                    self._refuse(table, item)
        self._aside()
        if self.free:
            self.after[table.name] = self.free
            self.free = []
        used.update(one.refusal.line for one in self.refused if one.table == table.name)
        for item in table.items:
            if isinstance(item, Setting) and item.line not in used:
                self.notes.append(Note(table.name, item.line, f"`{item.name}` holds for no job below it: left out"))

    def _aside(self) -> None:
        """Comments that no job follows directly stay comments."""
        if self.group:
            told = prose.said(self.group, False)
            self.left_out += told.left_out
            self.free.extend([*told.kept, GAP] if told.kept else [])
            self.group = []

    def _refuse(self, table: Table, refusal: Refusal) -> None:
        self.refused.append(Refused(table.name, refusal))
        self.free.extend((f"not imported, line {refusal.line}: {refusal.rule}", refusal.text.strip(), GAP))

    def _setting(self, table: Table, setting: Setting, held: dict[str, Setting]) -> None:
        if self.group and self.group[0].line == 1:
            self._aside()  # what a table begins with is about the table
        elif self.group:
            told = prose.said(self.group, False)
            self.left_out += told.left_out
            self.about.setdefault((setting.name, setting.value), []).extend(told.kept)
            self.group = []
        said = variables.check(setting, f"{setting.name}={setting.value}", table.kind, table.daemon)
        if isinstance(said, Refusal):
            self._refuse(table, said)
            return
        if said:
            self.notes.append(Note(table.name, setting.line, said))
        held[setting.name] = setting
        self.sets_path |= setting.name == "PATH"

    def _entry(self, table: Table, entry: Entry, held: Mapping[str, Setting]) -> None:
        told = prose.said(self.group, True)
        self.left_out += told.left_out
        self.free.extend(told.kept)
        self.group = []
        values = {name: setting.value for name, setting in held.items()}
        keys: dict[str, Any] = {"description": told.description} if told.description else {}
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
        self.drafts.append(Draft("", table.name, entry, table.daemon, table.kind, keys, values, before, tuple(notes)))
        self.notes.extend(Note(table.name, entry.line, text) for text in notes)

    def _folders(self, entry: Entry) -> None:
        for folder, scripts in self.folders.items():
            if f"{folder} " in f"{entry.command.rstrip(' );}')} ":
                self.free.append(f"in {folder} now: {', '.join(scripts) or 'nothing'}")

    def _when(self, table: Table, entry: Entry, notes: list[str]) -> dict[str, Any]:
        """The trigger, with the notes about its spelling."""
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
                notes.append("cron wants both day fields to hold, which no schedule says: `only_if` looks at the weekday")
            if spelling.loses:
                notes.append("on a day when the clock is changed cron takes this line for one that follows elapsed time")
        keys.update(ANACRON if table.kind == "anacron" else ALONE if table.daemon == "busybox" else CRON)
        return keys

    def _alert(self, values: Mapping[str, str]) -> list[str] | None:
        """The targets of a job: None where MAILTO says nothing, none where it is empty."""
        if "MAILTO" not in values:
            return None
        if not mail.addresses(values["MAILTO"]):
            return []
        return [self.targets.of(values["MAILTO"], values.get("MAILFROM", "")).name]

    def done(self, tables: list[str]) -> Import:
        wishes = [_wish(draft) for draft in self.drafts]
        drafts = [draft._replace(name=name) for draft, name in zip(self.drafts, naming.unique(wishes), strict=True)]
        targets = self.targets.all
        told = (self.refused, self.notes, self.after, self.about)
        return Import(drafts, targets, *told, tables, self.sets_path, self.left_out)


def _wish(draft: Draft) -> naming.Wish:
    """What a job would like to be called. Anacron's jobs have names of their own."""
    entry = draft.entry
    idea = naming.Idea(naming.slug(entry.name), ()) if entry.name else naming.idea(entry.command, entry.stdin)
    user, table = (naming.slug(text) for text in (draft.keys.get("user") or "", draft.table.rpartition("/")[2]))
    return naming.Wish(idea, moment(entry), user, table)


def moment(entry: Entry) -> str:
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
    days = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
    clock = f"{min(times.hours):02}-{min(times.minutes):02}"
    return f"{days[min(times.weekdays)]}-{clock}" if len(times.weekdays) == 1 else clock

