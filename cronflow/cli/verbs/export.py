"""`cronflow export`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cronflow.cli.invocation import Invocation
from cronflow.cli.writing import failed
from cronflow.core.words import count
from cronflow.errors import CronflowError, Exit

if TYPE_CHECKING:
    from cronflow.export.report import ExportRequest, ExportResult


class Target(StrEnum):
    """For which scheduler the jobs are written."""

    crontab = "crontab"
    systemd = "systemd"
    airflow = "airflow"
    dagu = "dagu"


FOLDERS = (Target.systemd, Target.dagu)
"""Targets that take several files."""


def export(
    invocation: Invocation,
    target: Annotated[Target, typer.Argument(metavar="TARGET", help="crontab, systemd, airflow or dagu.")],
    out: Annotated[
        str | None, typer.Option("-o", "--output", metavar="PATH", help="The file, or the folder for systemd and dagu.")
    ] = None,
    system: Annotated[bool, typer.Option("--system", help="crontab: a table of the machine, with a user column.")] = False,
    user: Annotated[bool, typer.Option("--user", help="systemd: units for your own instance, not the machine's.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that differ.")] = False,
) -> int:
    """Write the jobs for cron, systemd, Airflow or dagu, and tell what is lost.

    What the other one cannot express is told job by job, in what is written and on standard error. Nothing but PATH is
    changed. Exit status 1 if a job could not be written at all; the others are.
    """
    if system and target is not Target.crontab:
        hint = "units of systemd are for the machine, unless `--user` is given"
        raise CronflowError("`--system` is for crontab", hint, Exit.USAGE)
    if user and target is not Target.systemd:
        raise CronflowError("`--user` is for systemd", "a table of cron is a user's, unless `--system` is given", Exit.USAGE)
    written = _export(target, _wanted(invocation, system if target is Target.crontab else not user))
    report = written.report
    if out is not None:
        _save(written, Path(out), target in FOLDERS, force)
    if invocation.json:
        files = [{"path": _path(out, name), "text": text} for name, text in written.files.items()]
        losses = [{"job": job, "key": key, "message": message} for job, key, message in report.losses]
        refused = [{"job": job, "message": reason} for job, reason in report.refused.items()]
        notes = list(written.notes)
        invocation.print_json({"target": target.value, "files": files, "lost": losses, "not_written": refused, "notes": notes})
        return 1 if refused else 0
    if out is None:
        _show(invocation, written)
    _tell(invocation, written, out)
    return 1 if report.refused else 0


def _wanted(invocation: Invocation, system: bool) -> ExportRequest:
    from cronflow.export.report import ExportRequest
    from cronflow.jobfile.machine import caller_name, machine_zone

    return ExportRequest(invocation.jobs, invocation.now, machine_zone(), caller_name(), invocation.places.file.name, system)


def _export(target: Target, wanted: ExportRequest) -> ExportResult:
    import importlib

    module = importlib.import_module(f"cronflow.export.{target.value}")
    written: ExportResult = module.export(wanted)
    return written


def _path(out: str | None, name: str) -> str | None:
    if out is None:
        return name or None
    return os.path.join(out, name) if name else out


def _show(invocation: Invocation, written: ExportResult) -> None:
    """Everything on standard output; several files behind a line with their names."""
    for name, text in written.files.items():
        if name:
            invocation.out(f"# ---- {name} ----")
        invocation.out(text, end="" if text.endswith("\n") else "\n")


def _tell(invocation: Invocation, written: ExportResult, out: str | None) -> None:
    """What is lost, on standard error."""
    report = written.report
    kept = len(report.names) - len(report.refused)
    told = [f"{kept} of {count(len(report.names), 'job')} written"]
    if out is not None and written.files:
        told = [f"{told[0]} to {out}" + (f" ({count(len(written.files), 'file')})" if "" not in written.files else "")]
    invocation.warn("; ".join(told))
    for line in (*report.lines(), *written.notes, *(written.next if out is not None else ())):
        invocation.warn(f"  {line}")


def _save(written: ExportResult, out: Path, folder: bool, force: bool) -> None:
    """Write the files; none of them if one is there already and differs."""
    texts = {out / name if name else out: text for name, text in written.files.items()}
    try:
        if folder and out.exists() and not out.is_dir():
            raise CronflowError(f"`{out}` is a file", "several files are written: name a folder")
        if not folder and out.is_dir():
            raise CronflowError(f"`{out}` is a folder", "one file is written: name it")
        for path, text in texts.items():
            if path.exists() and not force and path.read_text(encoding="utf-8", errors="replace") != text:
                hint = "`--force` overwrites it; without `-o` the new one is shown"
                raise CronflowError(f"`{path}` is there already, and differs", hint)
        if folder:
            out.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            fresh = path.with_name(f".{path.name}.new")
            fresh.write_text(text, encoding="utf-8", errors="surrogateescape")
            fresh.replace(path)
    except OSError as error:
        raise failed(error, "written", "name another place with `-o`") from None
