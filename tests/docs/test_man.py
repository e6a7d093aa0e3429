"""The man pages are complete: every verb, flag, key, variable, reason and key of JSON is in them; and what they show is so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from cronflow.cli.app import build
from cronflow.cli.verbs import BY_NAME
from cronflow.core.jobs import Job
from cronflow.core.records import FINAL, GOING_ON, Result, Run, RunKind
from cronflow.daemon.processes import environment, reports, spawning
from cronflow.facts.sentences import REASONS
from cronflow.keeper import tree
from tests.docs import manpage
from tests.docs.man_play import displays
from tests.docs.pages import ROOT

PAGES = sorted((ROOT / "man").iterdir())
COMMANDS, DAEMON, JOBS = ((ROOT / "man" / name).read_text() for name in ("cronflow.1", "cronflow-daemon.8", "cronflow-jobs.5"))


def part(page: str, title: str, macro: str = "Ss") -> str:
    """A section (`Sh`) or subsection (`Ss`) of a page."""
    end = r"^\.S[hs] " if macro == "Ss" else r"^\.Sh "
    begin = re.search(rf"^\.{macro} {re.escape(title)}$", page, re.MULTILINE)
    assert begin is not None, f"no .{macro} {title}"
    return re.split(end, page[begin.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def has(page: str, word: str) -> bool:
    """Whether a word stands in the text of a page, as a word."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", page.replace(r"\-", "-")) is not None


# ---- form -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_has_no_warning(page: Path) -> None:
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.skipif(shutil.which("man") is None or shutil.which("groff") is None, reason="man-db is not installed")
def test_man_has_no_warning(page: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MANWIDTH": "100", "MANROFFSEQ": ""}
    done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "NAME" in done.stdout


def test_all_pages_are_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert data == {f"man/{page.name}": f"share/man/man{page.suffix[1:]}/{page.name}" for page in PAGES}


# ---- cronflow(1) ----------------------------------------------------------------------------------------------------------


def verbs() -> Iterator[tuple[str, Any]]:
    """Every verb, verbs of verbs too, with its command."""
    app: Any = build()
    for name in BY_NAME:
        command = app.get_command(None, name)
        inner = BY_NAME[name].verbs
        yield from [(f"{name} {verb}", command.get_command(None, verb)) for verb in inner] or [(name, command)]


def flags(command: Any) -> set[str]:
    """The flags of a verb itself."""
    own = (one for one in command.params if one.param_type_name == "option" and not getattr(one, "everywhere", False))
    return {flag for one in own for flag in one.opts} - {"--help", "-h"}


@pytest.mark.parametrize(("verb", "command"), list(verbs()), ids=lambda one: one if isinstance(one, str) else "")
def test_a_verb_is_told_with_its_flags_and_no_others(verb: str, command: Any) -> None:
    text = part(COMMANDS, verb)
    items = " ".join(re.findall(r"^\.It (Fl .*)$", text, re.MULTILINE))
    assert {f"-{flag}" for flag in re.findall(r"Fl (\S+)", items)} == flags(command)
    usage = text.partition("\n.Pp\n")[0]
    assert f".Cm {verb}" in usage
    for one in command.params:
        if one.param_type_name == "option" and not getattr(one, "everywhere", False) and one.name != "help":
            assert any(f"Fl {flag[1:]}" in usage for flag in one.opts), one.opts


def test_the_global_options_are_told() -> None:
    app: Any = build()
    items = " ".join(re.findall(r"^\.It (Fl .*)$", part(COMMANDS, "Global options"), re.MULTILINE))
    told = {f"-{flag}" for flag in re.findall(r"Fl (\S+)", items)}
    assert told == {flag for one in app.params for flag in one.opts} | {"-h", "--help"}


def test_states_and_reasons_are_told() -> None:
    text = part(COMMANDS, "STATES", "Sh")
    stages = {reason for reason, _ in (*reports._STAGES.values(), *reports._REFUSALS.values())}
    unstartable = set(get_args(environment.Reason))
    words = {*GOING_ON, *FINAL, *get_args(Result), *REASONS, *stages, *unstartable}
    assert {word for word in words if not has(text, word)} == set()


def test_the_exit_statuses_are_told() -> None:
    text = part(COMMANDS, "EXIT STATUS", "Sh")
    assert re.findall(r"^\.It (\d+)$", text, re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "130", "141"]


JSON_JOBS = """\
[defaults]
cwd = "."
timeout = "1m"
[jobs.first]
schedule = ["0 4 * * *", "0 4 */2 * mon"]
command = "echo one"
[jobs.second]
after = ["first"]
command = "exit 3"
[jobs.third]
after = ["second"]
command = "true"
"""
ANSWERS = (
    ("status",),
    ("runs",),
    ("next",),
    ("check",),
    ("check", "--prove"),
    ("why", "third"),
    ("graph",),
    ("logs", "first"),
    ("env", "first", "--diff"),
    ("show", "first", "second"),
    ("run", "first", "--dry-run"),
    ("backfill", "first", "--from", "3d", "--to", "now", "--dry-run"),
    ("backfill", "first", "--from", "3d", "--to", "now"),
    ("plan",),
    ("forecast",),
    ("alerts", "list"),
    ("export", "crontab"),
    ("service", "install", "--print"),
    ("import", "crontab"),
    ("import", "crontab", "--prove", "400", "--shadow", "log"),
    ("prune", "--dry-run"),
    ("doctor",),
    ("why", "nobody"),
)


def test_every_key_of_json_is_told(tmp_path: Path) -> None:
    file = tmp_path / "jobs.toml"
    file.write_text(JSON_JOBS)
    (tmp_path / "crontab").write_text("0 2-3 * * * x\n60 * * * * y\n")
    (tmp_path / "log").write_text("2026-11-02T02:10:01Z h CRON[1]: (a) CMD (x)\n2026-11-02T03:00:01Z h CRON[1]: (a) CMD (z)\n")
    text = part(COMMANDS, "JSON", "Sh")
    for words in (("run", "first"), *ANSWERS):
        answer = ask(file, *words)
        unknown = {key for key in names(answer) if not has(text, key)}
        assert unknown == set(), words


def ask(file: Path, *words: str) -> Any:
    program = [sys.executable, "-m", "cronflow.cli.main", "--file", str(file), "--state", str(file.parent / "state"), "--json"]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(file.parent), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*program, *words], env=env, cwd=file.parent, capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout) if done.stdout.startswith("{") else {}


def names(value: Any, above: str = "") -> set[str]:
    """The keys of an answer at any depth; those below `env` and the like are variables, those below
    `keys` are in cronflow-jobs(5)."""
    if isinstance(value, list):
        return {name for one in value for name in names(one)}
    if not isinstance(value, dict) or above in ("env", "added", "missing", "keys"):
        return set()
    if above == "differing":
        return {name for one in value.values() for name in names(one)}
    return set(value) | {name for key, one in value.items() for name in names(one, key)}


# ---- cronflow-jobs(5) -----------------------------------------------------------------------------------------------------


def test_the_keys_are_those_of_the_table() -> None:
    """`python -m tests.docs.manpage` prints the section."""
    assert manpage.section() in JOBS


def test_the_kinds_of_runs_are_those_of_the_table() -> None:
    """`python -m tests.docs.manpage` prints the table as well."""
    assert set(manpage.RUN_COLUMNS) == set(RunKind._fields)
    assert manpage.run_kinds() in part(JOBS, "What a run is")


def test_the_variables_of_a_command_are_told() -> None:
    text = part(JOBS, "ENVIRONMENT OF A COMMAND", "Sh")
    facts = spawning.attempt_facts(Job("a", "true"), Run(1, "a", "manual", 0.0), 1, 1.0)
    fixed = {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG"}
    assert set(re.findall(r"\b(?:CRONFLOW_)?[A-Z_]{4,}\b", text)) >= {*facts, tree.VARIABLE, *fixed}


def test_the_examples_cover_the_hard_parts() -> None:
    text = "\n".join(text for _, text in displays())
    for key in ("after", "join", "schedule", "every", "timezone", "catchup", "overlap", "retries", "timeout", "alert", "stdin"):
        assert re.search(rf"^{key} = ", text, re.MULTILINE), key


# ---- cronflow-daemon(8) ---------------------------------------------------------------------------------------------------


def test_the_settings_of_the_unit_are_told() -> None:
    from cronflow.cli.verbs.service import UNIT

    told = part(DAEMON, "SYSTEMD", "Sh")
    settings = re.findall(r"^(Type|NotifyAccess|KillMode|Delegate|OOMPolicy|TasksMax|WatchdogSec)=(\S+)", UNIT, re.MULTILINE)
    assert len(settings) == 7
    for name, value in settings:
        assert has(told, f"{name}={value}")


def test_the_figures_of_the_campaign_are_those_of_the_page_row_by_row() -> None:
    from tests.faults.rows import every

    _, found, table = (ROOT / "docs" / "faults.md").read_text().partition("| fault | trials | lost | twice | wrong | seconds |\n")
    assert found
    lines = table.split("\n\n")[0].splitlines()[1:]
    told = {fault: figures for fault, *figures in (line.strip("| ").split(" | ") for line in lines)}
    assert list(told) == [row.fault for row in every()]
    assert {figures[3] for figures in told.values()} == {"0"}
    items = re.findall(r"^\.It (.+)$", part(DAEMON, "HOW IT WAS TESTED", "Sh"), re.MULTILINE)
    shown = [item.replace(r"\(en", "–").split(" Ta ") for item in items if " Ta " in item]
    assert {fault: figures for *figures, fault in shown[1:]} == {fault: figures[:3] for fault, figures in told.items()}
