"""The syntax of systemd's units: words, lines and names (systemd.syntax(7); systemd.service(5), COMMAND LINES)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cronflow.core.words import untaken
from cronflow.export.report import ExportReport, ExportRequest, UnwritableError

Settings = list[tuple[str, str]]
"""The settings of one section, in their order; a name may come several times."""
_PLAIN = re.compile(r"[A-Za-z0-9_./:=+,@~-]+")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
PREFIX = "job-"


class UnitContext(NamedTuple):
    """What all units of one export share: their names without the suffix, by job, and the report."""

    names: Mapping[str, str]
    report: ExportReport

    @property
    def request(self) -> ExportRequest:
        """What is exported."""
        return self.report.request


def unit_names(jobs: Iterable[str]) -> dict[str, str]:
    """Job → name of its units without the suffix: `load[eu]` is `job-load-eu`, with a number if that is taken."""
    taken: set[str] = set()
    plain = {job: re.sub(r"[^A-Za-z0-9._]+", "-", job.replace(" on_", " on-")).strip("-") for job in jobs}
    return {job: untaken(PREFIX + name, taken) for job, name in plain.items()}


def escaped(text: str) -> str:
    """A text with specifiers and escapes of systemd neutralized."""
    plain = text.replace("\\", "\\\\").replace("%", "%%").replace("\n", "\\n").replace("\t", "\\t")
    return _CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}", plain)


def word(text: str) -> str:
    """A text as one word of a setting that takes several."""
    if _PLAIN.fullmatch(text):
        return text
    if '"' in text and "'" not in text:
        return f"'{escaped(text)}'"
    return '"' + escaped(text).replace('"', '\\"') + '"'


def command_line(words: Sequence[str]) -> str:
    """A command in which systemd expands nothing: the leading `:` turns off variables."""
    return ":" + " ".join(map(word, words))


def plain_line(text: str) -> str:
    """A text as the value of a one-line setting such as `Description=`."""
    return " ".join(_CONTROL.sub(" ", text).split()).replace("%", "%%")


def input_lines(text: str) -> Settings:
    """A `stdin`, with a setting for each of its lines: systemd adds a newline to each (systemd.exec(5))."""
    import base64

    if not text.endswith("\n"):
        return [("StandardInput", "data"), ("StandardInputData", base64.b64encode(text.encode()).decode())]
    values: list[str] = []
    for line in text[:-1].split("\n"):
        value = escaped(line)
        if value[:1] in (" ", ""):
            value = f"\\x20{value[1:]}" if value else ""
        value = value[:-1] + "\\x20" if value.endswith(" ") else value
        if not value and values:
            values[-1] += "\\n"
        else:
            values.append(value or "\\n")
    if values[0] == "\\n" and len(values) > 1:
        values[:2] = ["\\n" + values[1]]
    return [("StandardInput", "data"), *(("StandardInputText", value) for value in values)]


def unit_text(remarks: Iterable[str], sections: Mapping[str, Settings]) -> str:
    """The text of a unit: comments, then its non-empty sections. Raises UnwritableError for a value with line breaks."""
    broken = [key for lines in sections.values() for key, value in lines if "\n" in value]
    if broken:
        raise UnwritableError(f"its `{broken[0]}=` would have a line break in it")
    parts = ["\n".join(f"# {line}".rstrip() for remark in remarks for line in remark.splitlines())]
    for name, lines in sections.items():
        if lines:
            parts.append("\n".join([f"[{name}]", *(f"{key}={value}" for key, value in lines)]))
    return "\n\n".join(filter(None, parts)) + "\n"


def span(seconds: float) -> str:
    """A duration as systemd writes it (systemd.time(7)): `1h 30min`."""
    left, parts = round(seconds * 1000), []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0"
