"""Warnings that the golden texts do not show case by case."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest

from tests.problems import check


def warnings(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "jobs.toml"
    path.write_text(text)
    path.chmod(0o644)
    problems = check(str(path), now=1_767_225_600.0)
    assert all(problem.severity == "warning" for problem in problems)
    return [problem.message for problem in problems]


def of_command(tmp_path: Path, command: str, more: str = "") -> list[str]:
    return warnings(tmp_path, f"[jobs.a]\ntimeout = '1h'\n{more}\ncommand = '''\n{command}\n'''\n")


@pytest.mark.parametrize(
    "command",
    [
        "a | b",
        "a|b",
        "a 2>&1 | b",
        'a "x" | b',
        "a |& b",
        "(a | b) || c",
        "case x in a|b) c | d ;; esac",
        "a \\\n | b",
        "a # x\n b | c",
    ],
)
def test_pipes(tmp_path: Path, command: str) -> None:
    assert len(of_command(tmp_path, command)) == 1
    assert of_command(tmp_path, command, "shell = '/bin/bash'") != []


@pytest.mark.parametrize(
    "command",
    ["a || b", "a '|' b", 'a "|" b', "a \\| b", "# a | b", "a # b | c", "a >| b", "case $1 in a|b) c ;; d | e) f ;; esac"],
)
def test_what_is_no_pipe(tmp_path: Path, command: str) -> None:
    assert of_command(tmp_path, command.replace("'|'", '"|"')) == []


def test_pipefail(tmp_path: Path) -> None:
    assert of_command(tmp_path, "set -o pipefail\na | b", "shell = '/bin/bash'") == []


def test_an_array_has_no_pipes(tmp_path: Path) -> None:
    assert warnings(tmp_path, "jobs.a = { timeout = '1h', command = ['echo', 'a | b'] }") == []


def test_other_shells_are_their_own(tmp_path: Path) -> None:
    shell = tmp_path / "fish"
    shell.write_text("#!/bin/sh\n")
    shell.chmod(0o755)
    assert of_command(tmp_path, "a | b", f"shell = '{shell}'") == []


def test_one_job_without_timeout(tmp_path: Path) -> None:
    (told,) = warnings(tmp_path, "jobs.a.command = 'true'")
    assert told == "job `a` has no `timeout`, so a command that hangs blocks what comes after it"


def test_programs_are_looked_for_in_the_path_of_the_job(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "my-own-program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    body = "jobs.a = {{ timeout = '1h', command = ['my-own-program'], env = {{ PATH = '{}' }} }}"
    assert warnings(tmp_path, body.format(program.parent)) == []
    assert len(warnings(tmp_path, body.format("/usr/bin"))) == 1


def test_a_file_that_is_no_program_is_told_from_one_that_is_missing(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("text")
    plain.chmod(0o644)
    assert warnings(tmp_path, f"jobs.a = {{ timeout = '1h', command = ['{plain}'] }}") == [f"`{plain}` cannot be executed"]
    assert of_command(tmp_path, "a", f"shell = '{plain}'") == [f"`{plain}` cannot be executed"]
    assert of_command(tmp_path, "a", "shell = '/no/shell'") == ["there is no shell `/no/shell` on this machine"]


@pytest.mark.parametrize("command", ["/no/such/script.sh", "/no/such/script.sh --all >/dev/null", "\n /no/such/script.sh\n"])
def test_the_program_that_a_command_begins_with(tmp_path: Path, command: str) -> None:
    assert of_command(tmp_path, command) == ["there is no program `/no/such/script.sh` on this machine"]
    assert of_command(tmp_path, command, "shell = '/bin/bash'") != []


@pytest.mark.parametrize("command", ["/bin/sh -c true", "echo /no/such", "/no/$X/script.sh", "/no/such/*.sh", "A=/no/such true"])
def test_where_the_program_is_there_or_not_plain_to_see(tmp_path: Path, command: str) -> None:
    assert of_command(tmp_path, command) == []


def test_the_first_word_for_another_shell_is_no_program(tmp_path: Path) -> None:
    assert of_command(tmp_path, "/no/such/script.sh", f"shell = '{sys.executable}'") == []


def test_a_backslash_of_a_crontab(tmp_path: Path) -> None:
    assert of_command(tmp_path, 'echo "$(date +\\%F)"') == ["the command of job `a` has `\\%` in it, as a crontab wants it"]
    assert of_command(tmp_path, 'echo "$(date +%F)"') == []


def test_a_home_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    homeless = next((one for one in pwd.getpwall() if not os.path.isdir(one.pw_dir)), None)
    if homeless is None:
        pytest.skip("every user of this machine has a home")
    head = f"defaults = {{ timeout = '1h', user = '{homeless.pw_name}' }}\n"
    told = f"there is no folder `{homeless.pw_dir}`, the home in which job `a` would start"
    assert warnings(tmp_path, head + "jobs.a.command = 'a'\njobs.b.command = 'b'") == [told]
    assert warnings(tmp_path, head + "jobs.a = { command = 'a', cwd = '/' }") == []


def test_relative_programs_are_looked_for_when_run(tmp_path: Path) -> None:
    assert warnings(tmp_path, "jobs.a = { timeout = '1h', command = ['./not-yet'] }") == []


def test_what_comes_later_is_seen_by_the_next_check(tmp_path: Path) -> None:
    text = f"jobs.a = {{ timeout = '1h', command = 'true', cwd = '{tmp_path}/work' }}"
    assert len(warnings(tmp_path, text)) == 1
    (tmp_path / "work").mkdir()
    assert warnings(tmp_path, text) == []


def test_keys_of_flows_from_defaults_are_no_matter(tmp_path: Path) -> None:
    head = "defaults = { timeout = '1h', overlap = 'queue', timezone = 'Europe/Rome' }\n"
    assert warnings(tmp_path, head + "jobs.a.command = 'a'\njobs.b = { command = 'b', after = ['a'] }") == []


def test_a_readable_file_of_urls(tmp_path: Path) -> None:
    secret = tmp_path / "ops.url"
    secret.write_text("json://localhost\n")
    secret.chmod(0o644)
    text = "alerts.ops.url_file = 'ops.url'\njobs.a = { command = 'a', timeout = '1h' }"
    assert warnings(tmp_path, text) == [f"others can read `{secret}`, which holds the URLs of alert `ops`"]
    secret.chmod(0o600)
    assert warnings(tmp_path, text) == []


def test_days_counted_in_utc(tmp_path: Path) -> None:
    text = "timezone = 'UTC'\ndefaults.timeout = '1h'\njobs.a = {{ command = 'a', every = '{}' }}"
    assert len(warnings(tmp_path, text.format("48h"))) == 1
    assert warnings(tmp_path, text.format("36h")) == []


def test_a_zone_without_clock_changes(tmp_path: Path) -> None:
    body = "jobs.a = {{ command = 'a', timeout = '1h', schedule = '30 2 * * *', timezone = '{}' }}"
    assert warnings(tmp_path, body.format("Asia/Tokyo")) == []
    assert len(warnings(tmp_path, body.format("Europe/Berlin"))) == 2
