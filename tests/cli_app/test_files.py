"""The verbs about files: init, check, env, schema, service, completion."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cronflow.cli.verbs import BY_NAME, service
from tests.cli_app.conftest import Cli

# ---- init ----------------------------------------------------------------------------------------------------------------


def test_init_writes_a_file_that_passes_check_without_a_warning(cli: Cli) -> None:
    there = cli.folder / "new" / "folder" / "jobs.toml"
    answer = cli("init", "--file", str(there))
    assert (answer.status, answer.out) == (0, f"wrote {there}\n")
    assert there.stat().st_mode & 0o777 == 0o644
    checked = cli("check", "--strict", "--file", str(there))
    assert checked.status == 0, checked.out
    assert checked.out.startswith("jobs.toml: 2 jobs in 1 flow; the next to start is `disk-space` at ")
    assert cli("run", "disk-space", "--file", str(there)).status == 0


def test_init_tells_the_service_that_this_user_may_install(cli: Cli) -> None:
    told = cli("init", "--file", str(cli.folder / "third.toml")).err
    assert told.endswith("`cronflow service install`\n" if os.geteuid() == 0 else "`cronflow service install --user`\n")


def test_init_never_overwrites(cli: Cli) -> None:
    before = cli.file.read_text()
    answer = cli("init")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == f"error: `{cli.file}` is there already\n  = hint: edit it, or name another one with `--file`\n"
    assert cli.file.read_text() == before
    dangling = cli.folder / "link.toml"
    dangling.symlink_to(cli.folder / "nowhere")
    assert cli("init", "-f", str(dangling)).status == 1
    assert not (cli.folder / "nowhere").exists()


def test_init_json(cli: Cli) -> None:
    there = cli.folder / "second.toml"
    assert cli("init", "--json", "-f", str(there)).json == {"schema": 1, "file": str(there)}


# ---- check ---------------------------------------------------------------------------------------------------------------


def test_check_sums_up_and_keeps_the_names_for_completion(cli: Cli) -> None:
    answer = cli("check")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("jobs.toml: 3 jobs in 2 flows; the next to start is `extract` at ")
    assert (cli.state / "names").read_text() == "extract\nload\nsweep\n"


def test_check_makes_no_state_folder(cli: Cli) -> None:
    cli.state.rmdir()
    assert cli("check").status == 0
    assert not cli.state.exists()


def test_check_shows_every_problem_and_counts_them(cli: Cli) -> None:
    cli.file.write_text('[jobs.a]\ncommand = ""\nretries = -1\n\n[jobs.b]\ncommand = "sort | uniq"\n')
    answer = cli("check")
    assert answer.status == 1
    assert answer.out.splitlines()[-1].startswith("jobs.toml: 2 errors")
    assert answer.out.count("error: ") == 2
    assert not (cli.state / "names").exists()
    told = cli("check", "--json")
    assert told.status == 1
    assert told.json["ok"] is False
    problems = told.json["problems"]
    assert all(set(one) == {"severity", "file", "line", "column", "message", "hint"} for one in problems)
    assert [(one["line"], one["column"]) for one in problems if one["severity"] == "error"] == [(2, 11), (3, 11)]


def test_check_strict_counts_warnings(cli: Cli) -> None:
    cli.file.write_text('[jobs.a]\ncommand = "true"\n')
    assert cli("check").status == 0
    assert "; 1 warning\n" in cli("check").out
    assert cli("check", "--strict").status == 1
    assert cli("check", "--json").json["ok"] is True
    assert cli("check", "--json", "--strict").json["ok"] is False


def test_check_of_several_files(cli: Cli) -> None:
    other = cli.folder / "other.toml"
    other.write_text("nonsense")
    other.chmod(0o644)
    answer = cli("check", str(cli.file), "other.toml", "missing.toml")
    assert answer.status == 1
    assert "jobs.toml: 3 jobs" in answer.out
    assert "other.toml: 1 error\n" in answer.out
    assert "missing.toml: 1 error\n" in answer.out


def test_check_of_a_file_in_which_nothing_starts_by_itself(cli: Cli) -> None:
    cli.file.write_text('[jobs.a]\ncommand = "true"\ntimeout = "1h"\n')
    assert cli("check").out == "jobs.toml: 1 job in 1 flow; nothing starts by itself\n"


# ---- env -----------------------------------------------------------------------------------------------------------------


def test_env_can_be_read_by_a_shell(cli: Cli) -> None:
    answer = cli("env", "load")
    lines = answer.out.splitlines()
    assert lines == sorted(lines)
    assert "EMPTY=" in lines
    assert any(line.startswith("CRONFLOW_RUN_ID=") and line.endswith("# example") for line in lines)
    assert not any(line.endswith("# example") for line in lines if not line.startswith("CRONFLOW_"))
    script = f"set -eu\n{answer.out}\nprintf '%s|%s|%s' \"$GREETING\" \"$CRONFLOW_JOB\" \"$CRONFLOW_TRIGGER\""
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "it's here|load|schedule"


def test_env_is_what_a_command_really_gets(cli: Cli) -> None:
    job = 'timeout = "1h"\ncommand = "env > seen"\ncwd = "."\nenv = { A = "b c" }\n'
    cli.file.write_text(f'timezone = "Europe/Berlin"\n[jobs.show]\n{job}')
    assert cli("run", "show").status == 0
    seen = dict(line.split("=", 1) for line in (cli.folder / "seen").read_text().splitlines())
    told = cli("env", "show", "--json").json
    assert told["job"] == "show"
    assert told["diff"] is None
    ours = {name: value for name, value in told["env"].items() if name not in told["examples"]}
    assert ours.items() <= seen.items()
    extra = set(seen) - set(told["env"])
    assert all(name.startswith("CRONFLOW_") or name in ("PWD", "_", "OLDPWD", "SHLVL") for name in extra), extra


def test_env_diff_against_the_caller(cli: Cli) -> None:
    answer = cli("env", "load", "--diff", GREETING="hello", ONLY_HERE="1", PATH=os.environ["PATH"] + ":/extra")
    lines = answer.out.splitlines()
    assert lines.index("- GREETING=hello") + 1 == lines.index("""+ GREETING='it'"'"'s here'""")
    assert "- ONLY_HERE=1" in lines
    assert "+ EMPTY=" in lines
    assert not any("CRONFLOW_RUN_ID" in line for line in lines)
    assert answer.err == "- what you have here, + what the job has\n"
    told = cli("env", "load", "--diff", "--json", GREETING="hello", ONLY_HERE="1").json["diff"]
    assert set(told) == {"added", "missing", "differing"}
    assert told["differing"]["GREETING"] == {"job": "it's here", "here": "hello"}
    assert told["missing"]["ONLY_HERE"] == "1"


def test_env_of_a_job_that_cannot_start_tells_why(cli: Cli) -> None:
    cli.file.write_text('[jobs.a]\ncommand = "true"\nenv_file = "none.env"\n[jobs.b]\ncommand = "true"\nuser = "nobody-here"\n')
    answer = cli("env", "a")
    assert answer.status == 1
    assert answer.err.startswith("error: `env_file`: there is no file `")
    assert "nobody-here" in cli("env", "b").err
    assert cli("env", "c").status == 4


# ---- schema --------------------------------------------------------------------------------------------------------------


def test_schema_is_the_one_that_takes_the_job_file(cli: Cli) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(cli("schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(cli.file.read_text()), schema)


# ---- service -------------------------------------------------------------------------------------------------------------

WANTED = {
    "Type=notify",
    "NotifyAccess=main",
    "KillMode=process",
    "Delegate=yes",
    "OOMPolicy=continue",
    "TasksMax=infinity",
    "Restart=always",
}


def unit_of(cli: Cli, *words: str, **env: str) -> list[str]:
    answer = cli("service", "install", "--print", *words, **env)
    assert (answer.status, answer.err) == (0, "")
    return answer.out.splitlines()


def verify(unit: str, folder: Path) -> None:
    """What systemd itself thinks of a unit."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    file = folder / "cronflow.service"
    file.write_text(unit)
    words = [analyze, "verify", "--man=no", str(file)]
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False, env=env)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def program(cli: Cli, tmp_path: Path) -> str:
    """An installed `cronflow`, so that the unit names one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "cronflow"
    path.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cronflow.cli.main \"$@\"\n")
    path.chmod(0o755)
    cli.env["PATH"] = f"{folder}:{cli.env['PATH']}"
    return str(path)


def test_the_unit_of_the_machine(cli: Cli, tmp_path: Path) -> None:
    path = program(cli, tmp_path)
    lines = unit_of(cli, CRONFLOW_FILE="", CRONFLOW_STATE="")
    assert set(lines) >= {*WANTED, "StateDirectory=cronflow", "RuntimeDirectory=cronflow", "RuntimeDirectoryPreserve=yes"}
    assert f"ExecStart={path} daemon" in lines
    assert f"ExecReload={path} reload" in lines
    assert "WantedBy=multi-user.target" in lines
    assert not any(line.startswith(("PrivateTmp", "Protect", "NoNewPrivileges")) for line in lines)
    verify("\n".join(lines) + "\n", tmp_path)


def test_every_setting_of_the_unit_has_its_reason_above_it(cli: Cli) -> None:
    lines = unit_of(cli, CRONFLOW_FILE="", CRONFLOW_STATE="")
    section = lines[lines.index("[Service]") + 1 : lines.index("[Install]")]
    for block in "\n".join(section).strip().split("\n\n"):
        assert block.startswith("# "), block


def test_the_unit_names_the_file_and_the_state_as_systemd_reads_them(cli: Cli, tmp_path: Path) -> None:
    path = program(cli, tmp_path)
    file = f"{tmp_path}/50% of $HOME/my jobs.toml"
    lines = unit_of(cli, "--file", file, "--state", f"{tmp_path}/s")
    assert f'ExecStart={path} daemon --file "{tmp_path}/50%% of $$HOME/my jobs.toml" --state {tmp_path}/s' in lines
    assert not any(line.startswith(("StateDirectory", "RuntimeDirectory")) for line in lines)
    verify("\n".join(lines) + "\n", tmp_path)


def test_the_unit_of_a_user_is_written_once_and_kept(cli: Cli, tmp_path: Path) -> None:
    program(cli, tmp_path)
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "CRONFLOW_FILE": "", "CRONFLOW_STATE": ""}
    file = tmp_path / "config" / "systemd" / "user" / "cronflow.service"
    first = cli("service", "install", "--user", **env)
    assert first.status == 0
    assert file.read_text() == first.out
    assert file.stat().st_mode & 0o777 == 0o644
    assert f"wrote {file}\n" in first.err
    assert "systemctl --user daemon-reload" in first.err
    assert "systemctl --user enable --now cronflow" in first.err
    assert "WantedBy=default.target" in first.out
    assert "StateDirectory" not in first.out
    assert cli("service", "install", "--user", **env).status == 0
    file.write_text("[Unit]\n")
    kept = cli("service", "install", "--user", **env)
    assert (kept.status, kept.out) == (1, "")
    assert kept.err.startswith(f"error: `{file}` is there already, and differs\n  = hint: ")
    assert file.read_text() == "[Unit]\n"
    assert cli("service", "install", "--user", "--force", "--json", **env).json["unit"] == first.out
    assert file.read_text() == first.out
    verify(first.out, tmp_path)


def test_words_of_a_unit_are_quoted() -> None:
    assert service.quoted("/usr/bin/cronflow") == "/usr/bin/cronflow"
    assert service.quoted("a b") == '"a b"'
    assert service.quoted("100%") == "100%%"
    assert service.quoted("$HOME") == "$$HOME"
    assert service.quoted('say "no"') == '"say \\"no\\""'
    assert service.quoted("") == '""'


# ---- completion ----------------------------------------------------------------------------------------------------------

_BASH = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_cronflow
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(cli: Cli, *words: str) -> list[str]:
    """What bash would offer for a line; the last word is the one at the cursor."""
    script = cli.folder / "completion.bash"
    if not script.exists():
        script.write_text(cli("completion", "bash").out)
    text = _BASH.format(script=shlex.quote(str(script)), words=" ".join(map(shlex.quote, ("cronflow", *words))))
    env = {**cli.env, "PATH": "/usr/bin:/bin"}
    bash = ["bash", "--norc", "-c", text]
    done = subprocess.run(bash, capture_output=True, text=True, timeout=30, check=True, env=env, cwd=cli.folder)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def test_bash_completes_verbs_flags_and_names(cli: Cli) -> None:
    cli("check")
    assert completed(cli, "") == list(BY_NAME)
    assert completed(cli, "re") == [verb for verb in BY_NAME if verb.startswith("re")]
    assert completed(cli, "pause", "") == ["extract", "load", "sweep"]
    assert completed(cli, "pause", "extract", "l") == ["load"]
    assert completed(cli, "--json", "run", "sw") == ["sweep"]
    assert completed(cli, "cancel", "s") == ["sweep"]
    assert "--reason" in completed(cli, "pause", "--")
    assert completed(cli, "pause", "--rea") == ["--reason"]
    assert completed(cli, "pause", "--for", "") == []
    assert completed(cli, "alerts", "") == ["test", "list"]
    assert "-n" in completed(cli, "alerts", "list", "-")
    assert completed(cli, "completion", "z") == ["zsh"]
    assert completed(cli, "--file", "jo") == ["jobs.toml"]
    assert completed(cli, "--file", "=", "jo") == ["jobs.toml"]
    assert completed(cli, "graph", "--format", "=") == ["text", "dot", "mermaid", "json"]
    assert completed(cli, "--file", "jobs.toml", "res") == ["resume"]
    assert completed(cli, "retry", "--from", "lo") == ["load"]
    assert set(completed(cli, "graph", "--format", "")) == {"text", "dot", "mermaid", "json"}
    assert completed(cli, "nothing", "x") == []


def test_completion_without_names_offers_none(cli: Cli) -> None:
    assert completed(cli, "pause", "") == []


def test_names_are_not_read_as_shell(cli: Cli) -> None:
    (cli.state / "names").write_text("$(touch harm)\n`touch harm`\n*\nfine\n")
    assert completed(cli, "pause", "") == ["$(touch harm)", "`touch harm`", "*", "fine"]
    assert not (cli.folder / "harm").exists()


def test_completion_starts_no_program_of_ours(cli: Cli) -> None:
    text = cli("completion", "bash").out
    assert "$(cronflow" not in text
    assert "python" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_verb_and_flag_is_in_the_script(cli: Cli, shell: str) -> None:
    text = cli("completion", shell).out
    for verb in BY_NAME:
        assert verb in text
    assert "drain" in text
    assert "names" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_itself_takes_the_script(cli: Cli, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine")
    script = cli.folder / f"script.{shell}"
    script.write_text(cli("completion", shell).out)
    done = subprocess.run([program, "-n", str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
