"""What holds for every verb: help, options before and after it, errors in one form, no traceback, few imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from cronflow.cli.app import load
from cronflow.cli.verbs import BY_NAME
from tests.cli_app.conftest import Answer, Cli

VERBS = [
    *((name,) for name in BY_NAME),
    *((name, inner) for name, verb in BY_NAME.items() for inner in verb.verbs),
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_answers_help(cli: Cli, verb: tuple[str, ...]) -> None:
    answer = cli(*verb, "--help")
    assert (answer.status, answer.err) == (0, "")
    usage, empty, sentence, *rest = answer.out.splitlines()
    assert usage.startswith(f"Usage: cronflow {' '.join(verb)}")
    assert empty == ""
    assert sentence.startswith("  ")
    assert any(line.strip().startswith("--json") for line in rest)
    assert all(len(line) <= 100 for line in answer.out.splitlines())


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_the_table_has_the_first_sentence_of_each_docstring(verb: tuple[str, ...]) -> None:
    entry = BY_NAME[verb[0]].verbs[verb[1]] if verb[1:] else BY_NAME[verb[0]]
    told = import_module(f"cronflow.cli.verbs.{entry.where}").__doc__ if entry.verbs else load(entry).__doc__
    paragraph = " ".join((told or "").partition("\n\n")[0].split())
    assert entry.help == paragraph.partition(". ")[0].removesuffix(".") + "."


def test_alone_it_shows_the_help_with_every_verb(cli: Cli) -> None:
    answer = cli()
    assert answer.status == 0
    assert cli("--help").out == answer.out
    for verb in BY_NAME:
        assert f"\n  {verb} " in answer.out


def test_version(cli: Cli) -> None:
    answer = cli("--version")
    assert answer.status == 0
    assert answer.out.startswith("cronflow ")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["pase"], "there is no verb `pase`", "did you mean `pause`?"),
        (["zzz"], "there is no verb `zzz`", "`cronflow --help` lists them"),
        (["alerts", "lits"], "there is no verb `alerts lits`", "did you mean `alerts list`?"),
        (["pause", "--resaon", "x"], "there is no option `--resaon` of `cronflow pause`", "did you mean `--reason`?"),
        (["--nope"], "there is no option `--nope`", "`cronflow --help`"),
        (["retry"], "`cronflow retry` needs `RUN`", "`cronflow retry --help`"),
        (["reload", "now"], "`now` is more than can be taken here of `cronflow reload`", "`cronflow reload --help`"),
        (["alerts", "list", "-n", "many"], "`-n` is a number, not `many`", "`cronflow alerts list --help`"),
        (["alerts", "list", "-n", "0"], "`-n` is from 1 to 1000000, not 0", "`cronflow alerts list --help`"),
        (["pause", "--for"], "`--for` is given without a value", None),
        (["stop", "--drain=yes"], "`--drain` takes no value", None),
        (["pause"], "no job is named", "name jobs, or `--all`"),
        (["pause", "a", "--all"], "`--all` and the names of jobs exclude each other", "leave one of them out"),
        (["pause", "a", "--for", "90"], '`--for "90"` has no unit', None),
        (["stop", "--drain", "--kill"], "`--drain` and `--kill` exclude each other", None),
        (["completion", "tcsh"], "there is no completion for `tcsh`", "there is one for bash, zsh and fish"),
    ],
)
def test_usage_errors_are_two_lines_and_status_2(cli: Cli, words: list[str], message: str, hint: str | None) -> None:
    answer = cli(*words)
    assert (answer.status, answer.out) == (2, "")
    first, second = answer.err.splitlines()
    assert first == f"error: {message}"
    assert second.startswith("  = hint: ")
    if hint is not None:
        assert second == f"  = hint: {hint}"
    told = cli("--json", *words)
    assert (told.status, told.err) == (2, "")
    assert told.json["schema"] == 1
    assert told.json["error"]["message"] == message
    assert told.json["error"]["exit"] == 2
    assert set(told.json["error"]) == {"message", "hint", "exit"}


def test_options_stand_before_or_after_the_verb(cli: Cli, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[jobs.elsewhere]\ncommand = "true"\ntimeout = "1m"\n')
    other.chmod(0o644)
    for words in (
        ("--file", str(other), "--json", "env", "elsewhere"),
        ("env", "elsewhere", "--json", "-f", str(other)),
        ("-f", str(other), "env", "--json", "elsewhere"),
    ):
        assert cli(*words).json["job"] == "elsewhere", words
    after = cli("--file", "/nowhere.toml", "env", "--file", str(other), "--json", "elsewhere")
    assert after.json["job"] == "elsewhere"


def test_options_stand_at_each_place_of_a_verb_of_verbs(cli: Cli) -> None:
    for words in (("--json", "alerts", "list"), ("alerts", "--json", "list"), ("alerts", "list", "--json")):
        assert cli(*words).json == {"schema": 1, "alerts": []}


def test_state_names_the_folder_before_and_after(cli: Cli, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    there.mkdir()
    for words in (("--state", str(there), "check"), ("check", "--state", str(there))):
        assert cli(*words).status == 0
        assert (there / "names").read_text() == "extract\nload\nsweep\n"
        (there / "names").unlink()
    assert not (cli.state / "names").exists()


def test_after_runs_a_state_is_a_filter_and_a_path_is_the_folder(cli: Cli, tmp_path: Path) -> None:
    assert cli("runs", "--state", "failed", "--state", str(tmp_path), "--json").json["runs"] == []
    assert cli("runs", "--state", "sleeping").status == 2


def test_a_pipe_that_is_closed_ends_it_quietly(cli: Cli) -> None:
    script = f"{sys.executable} -m cronflow.cli.main schema | head -c 1; exit ${{PIPESTATUS[0]}}"
    big = subprocess.run(["bash", "-c", script], env=cli.env, capture_output=True, timeout=60, check=False)
    assert (big.stdout, big.stderr) == (b"{", b"")
    read, write = os.pipe()
    os.close(read)
    gone = subprocess.run(cli.command("schema"), env=cli.env, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (gone.returncode, gone.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_behind_standard_output_is_said(cli: Cli) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(cli.command("schema"), env=cli.env, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.decode() == "error: standard output: no space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_an_error_that_cannot_be_said_keeps_its_exit_status(cli: Cli) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(cli.command("logs", "nobody"), env=cli.env, stderr=full, timeout=60, check=False)
    assert done.returncode == 4


def test_closed_streams_do_no_harm(cli: Cli) -> None:
    for closing in (">&-", "2>&-", ">&- 2>&- <&-"):
        script = f"{sys.executable} -m cronflow.cli.main check {closing}"
        assert subprocess.run(["bash", "-c", script], env=cli.env, timeout=60, check=False).returncode == 0, closing


_BOOM = """
import sys, types
from cronflow.cli import main
from cronflow.cli.invocation import Invocation
from cronflow.cli.verbs import VERBS, Verb
module = types.ModuleType("cronflow.cli.verbs.boom")
def boom(invocation: Invocation) -> None:
    "Fails."
    raise KeyError("x")
module.boom = boom
sys.modules["cronflow.cli.verbs.boom"] = module
VERBS["Look"]["boom"] = Verb("boom:boom", "Fails.")
sys.argv[1:] = ["boom", *sys.argv[1:]]
main.main()
"""


def _boom(cli: Cli, *words: str, **env: str) -> Answer:
    done = subprocess.run(
        [sys.executable, "-c", _BOOM, *words], env={**cli.env, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def test_a_defect_is_one_sentence_and_its_traceback_is_kept(cli: Cli) -> None:
    answer = _boom(cli)
    assert answer.status == 1
    first, second = answer.err.splitlines()
    assert first == "error: cronflow has a defect: KeyError: 'x'"
    kept = Path(second.split("`")[1])
    assert kept.parent == cli.state
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "Traceback" in kept.read_text()
    assert "Traceback" not in answer.err + answer.out
    assert _boom(cli, "--json").json["error"]["exit"] == 1


def test_without_a_state_folder_the_traceback_is_in_the_temporary_one(cli: Cli, tmp_path: Path) -> None:
    spare = tmp_path / "spare"
    spare.mkdir()
    answer = _boom(cli, CRONFLOW_STATE=str(tmp_path / "none"), TMPDIR=str(spare))
    assert list(spare.iterdir()) == [Path(answer.err.splitlines()[1].split("`")[1])]


HEAVY = ("rich", "apprise", "croniter", "psutil", "filelock", "asyncio", "pydantic", "requests", "jsonschema")
_COUNT = """
import json, sys
from cronflow.cli.main import call
status = call(sys.argv[1:])
sys.stdout.flush()
print("\\n" + json.dumps([status, sorted(sys.modules)]), file=sys.stderr)
"""


def modules_of(cli: Cli, *words: str) -> set[str]:
    """All modules that a command has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, *words], env=cli.env, capture_output=True, text=True, timeout=60, check=False
    )
    status, names = json.loads(done.stderr.splitlines()[-1])
    assert status in (0, 3), done.stderr
    return set(names)


@pytest.mark.parametrize(
    "words",
    [("status",), ("status", "--json"), ("--help",), ("check",), ("runs",), ("next",), ("pause", "x"), ("alerts", "list")],
    ids=" ".join,
)
def test_no_command_imports_what_only_others_need(cli: Cli, words: tuple[str, ...]) -> None:
    names = modules_of(cli, *words)
    assert not {name for name in names if name.partition(".")[0] in HEAVY}
    if words != ("--help",):
        ours = {name.removeprefix("cronflow.cli.verbs.") for name in names if name.startswith("cronflow.cli.verbs.")}
        others = {verb.where.partition(":")[0] for name, verb in BY_NAME.items() if not verb.verbs and name != words[0]}
        assert not ours & (others - {"completion"}), "verbs that were not asked for"
        assert len(names) < 330


BAD = [
    ("env", "nobody"),
    ("env",),
    ("env", "load", "--diff", "--json", "extra"),
    ("check", "/"),
    ("check", "/nowhere/jobs.toml"),
    ("check", "/dev/null"),
    ("check", "/proc/self/mem"),
    ("check", "a\nb"),
    ("check", ""),
    ("--file", "", "check"),
    ("--file", "/", "env", "load"),
    ("--state", "/dev/null", "alerts", "list"),
    ("--state", "/proc/1/fdinfo/none", "check"),
    ("--state", "", "check"),
    ("cancel", ""),
    ("cancel", "/"),
    ("cancel", "1//2"),
    ("cancel", "99999999999999999999999"),
    ("cancel", "-1"),
    ("retry", "@last"),
    ("retry", "x" * 10_000),
    ("retry", "1/load"),
    ("retry", "1/load/2"),
    ("retry", "1", "--from", ""),
    ("pause", "", "--for", "1h"),
    ("pause", "x", "--for", "1h1h"),
    ("pause", "x", "--for", "0s"),
    ("pause", "x", "--for", "99999999999w"),
    ("pause", "x", "--for", "999999999w"),
    ("pause", "--all", "--reason", "\x1b[31m"),
    ("resume", "\udcff"),
    ("resume",),
    ("stop", "now"),
    ("reload", "--json", "x"),
    ("alerts", "test"),
    ("alerts", "test", "nobody"),
    ("alerts", "list", "-n", "-5"),
    ("alerts", "list", "-n", "9" * 30),
    ("service",),
    ("service", "install", "--print", "--user"),
    ("service", "remove"),
    ("completion",),
    ("completion", ""),
    ("schema", "x"),
    ("init", "--file", "/proc/nowhere/jobs.toml"),
    ("init", "--file", "/dev/null/jobs.toml"),
    ("init", "--file", "/"),
    ("--json",),
    ("-x",),
    ("--",),
    ("--", "--"),
    ("",),
    ("check", "--", "--strict"),
]


@pytest.mark.parametrize("words", BAD, ids=lambda words: " ".join(words)[:40].encode("unicode_escape").decode() or "empty")
def test_bad_input_is_answered_in_sentences(cli: Cli, words: tuple[str, ...]) -> None:
    answer = Answer(*_raw(cli, words))
    everything = answer.out + answer.err
    assert "Traceback" not in everything
    assert "defect" not in everything, everything
    assert answer.status in (0, 1, 2, 3, 4, 5)
    if answer.status and "--json" in words:
        assert answer.out.startswith('{"schema": 1, "error": ')
    elif answer.status and "check" not in words:
        assert answer.err.startswith("error: ")


def _raw(cli: Cli, words: tuple[str, ...]) -> tuple[int, str, str]:
    """As `cli`, for words that no text can say."""
    raw = [word.encode("utf-8", "surrogateescape") for word in words]
    command = [*(word.encode() for word in cli.command()), *raw]
    done = subprocess.run(command, env=cli.env, cwd=cli.folder, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def test_a_broken_job_file_is_drawn_with_all_its_problems(cli: Cli) -> None:
    cli.file.write_text('[jobs.load]\ncommand = "true"\ntimout = "10m"\nretries = "two"\n')
    answer = cli("env", "load")
    assert answer.status == 1
    assert answer.out == ""
    assert answer.err.count("error: ") == 2
    assert "jobs.toml:3:1" in answer.err
    assert "did you mean `timeout`?" in answer.err
    told = cli("env", "load", "--json").json
    assert told["error"]["exit"] == 1
    assert "`timout`" in told["error"]["message"]
    assert "jobs.toml:3: " in told["error"]["message"]
    assert told["error"]["hint"] == "`cronflow check --json` has all 2 problems"
    cli.file.write_text('[jobs.load]\ncommand = "true"\ntimout = "10m"\n')
    assert cli("env", "load", "--json").json["error"]["hint"] == "did you mean `timeout`?"
