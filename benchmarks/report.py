"""The table of figures as Markdown and as JSON, and the machine they are of."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure

PAGE = Path("docs/speed.md")
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
HEAD = "| what | against | median (of all) | goal | |\n| --- | --- | --- | --- | --- |"


def machine(folder: str) -> dict[str, Any]:
    """What the figures depend on."""
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "kernel": platform.release(),
        "file_system": _file_system(folder),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _file_system(folder: str) -> str:
    """The type of the file system on which the state folders are (proc_pid_mounts(5))."""
    device, found = os.stat(folder).st_dev, "?"
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            if line.split()[2] == f"{os.major(device)}:{os.minor(device)}":
                found = line.partition(" - ")[2].split()[0]
    return found


def of_machine(facts: dict[str, Any]) -> str:
    """One sentence."""
    cores, memory = facts["cores"], facts["memory_gib"]
    software = f"Linux {facts['kernel']}, {facts['file_system']}, Python {facts['python']}, SQLite {facts['sqlite']}"
    return f"{facts['processor']}, {cores} cores, {memory} GiB; {software}"


def table(figures: Iterable[Figure]) -> str:
    """A line for each figure."""
    return "\n".join([HEAD, *map(_line, figures)])


def _line(one: Figure) -> str:
    goal = "" if one.goal is None else f"{'≥' if one.goal.at_least else '≤'} {one.goal.limit:g} {one.unit}".rstrip()
    sign = "" if one.met is None else "✓" if one.met else "✗"
    what = f"{one.what} ({one.note})" if one.note else one.what
    return f"| {what} | {one.against} | {_value(one)} | {goal} | {sign} |"


def _value(one: Figure) -> str:
    text = f"**{_number(one.value)}** {one.unit}".rstrip()
    if len(one.values) > 1:
        text += f" ({_number(min(one.values))} – {_number(max(one.values))})"
    return text


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def as_json(figures: Iterable[Figure], facts: dict[str, Any]) -> str:
    """All that was measured: seconds, bytes, ratios."""
    rows = [
        {
            **one._asdict(),
            "goal": one.goal._asdict() if one.goal else None,
            "median": one.value,
            "min": min(one.values),
            "max": max(one.values),
            "met": one.met,
        }
        for one in figures
    ]
    return json.dumps({"schema": 1, "machine": facts, "figures": rows}, indent=1, ensure_ascii=False) + "\n"


def put_into(page: Path, block: str) -> None:
    """Write the table between the two marks of a page. ValueError if it has none."""
    text = page.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no `{BEGIN}` and `{END}`")
    page.write_text(f"{head}{BEGIN}\n{block}\n{END}{tail}")
