"""What bad input gets from all that starts, orders and feeds tasks: a located problem of `check`, a line in the log of the task,
a refusal that says which run or slots it is about."""

from __future__ import annotations

import functools
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cronflow.daemon.lock import prepare
from cronflow.places import Places
from tests.bad_input.test_commands import FAILED, NO_DAEMON, NOT_THERE, USAGE, check_sane, is_told, is_told_as_json
from tests.daemon.live import Live, job, living
from tests.daemon.test_control import AS_ANOTHER, needs_root
from tests.nobody import exit_status_of

NOT_PERMITTED = 5

NO_UTF8 = os.fsdecode(b"b\xe4ckup")
JOBS = (
    job("daily", "true", schedule="0 4 * * *")
    + job("hand", 'echo "day=$DAY"', params={"DAY": "today"})
    + job("gate", "true", approve="go on?")
    + job("flood", "true", foreach="head -c 10000000 /dev/zero | tr '\\0' a")
    + job("scribble", "printf 'rows=3\\nno such thing\\n=4\\n' > \"$CRONFLOW_OUTPUT\"")
)


@pytest.fixture
def live() -> Iterator[Live]:
    with living() as one:
        yield one


@pytest.fixture(scope="module")
def served() -> Iterator[Live]:
    """A daemon, and run 1 of `gate`, which has been approved and is over."""
    with living() as one:
        one.start(JOBS)
        assert one.run("gate") == 1
        one.until(lambda: one.one("SELECT 1 FROM tasks WHERE stage = 'approval'"))
        assert one.cli("approve", "1").status == 0
        assert one.final(1) == "success"
        yield one


# ---- what `check` finds, and where ------------------------------------------------------------------------------------------

MANY = [str(number) for number in range(32)]
PROBLEMS = [
    ('[jobs.a]\ncommand = "true"\npool = "warehose"\n[pools]\nwarehouse = 2\n', 3, "warehose", "`warehouse`"),
    (
        '[jobs.a]\ncommand = "true"\nschedule = "0 4 * * *"\nskip_on = ["holiday"]\n[calendars.holidays]\ndates = [2026-12-25]\n',
        4,
        "holiday",
        "`holidays`",
    ),
    ('[jobs.a]\ncommand = "true"\nschedule = "0 4 * * *"\ntimezone = "Europe/Berlyn"\n', 4, "Europe/Berlyn", "Europe/Berlin"),
    (job("a", "true", matrix={"X": MANY, "Y": MANY}), 3, "1,024", "1,000"),
    (job("a", "true", env={"R": "eu"}, matrix={"R": ["eu", "us"]}), 4, "`R` is set in `env` and in `matrix`", "line 3"),
    (job("a", "true", params={"R": "eu"}, matrix={"R": ["eu"]}), 4, "`R` is set in `params` and in `matrix`", "line 3"),
    (job('"a[eu]"', "true") + job("a", "true", matrix={"R": ["eu"]}), 1, "a[eu]", "letters"),
    (
        '[jobs.a]\ncommand = "true"\nschedule = "0 4 * * *"\nskip_on = ["days"]\n[calendars.days]\nfile = "days.txt"\n',
        6,
        "line 2 of `",
        "there is no 2026-02-30",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [(text, line, parts) for text, line, *parts in PROBLEMS],
    ids=["pool", "calendar", "zone", "large matrix", "env and matrix", "params and matrix", "name of a copy", "calendar file"],
)
def test_a_problem_and_its_place(served: Live, text: str, line: int, parts: list[str]) -> None:
    bad = served.write(text, "bad.toml")
    served.write("2026-12-25\n2026-02-30\n", "days.txt")
    answer = served.cli("check", str(bad))
    check_sane(answer)
    assert answer.status == FAILED
    assert f"--> {bad}:{line}:" in answer.out
    assert "hint: " in answer.out
    for part in parts:
        assert part in answer.out, answer


# ---- what a task prints or writes -------------------------------------------------------------------------------------------


def test_a_foreach_that_prints_ten_megabytes(served: Live) -> None:
    run = served.run("flood")
    assert served.final(run) == "failed"
    told = served.cli("why", str(run))
    check_sane(told)
    assert "`foreach` printed more than 1 MB" in told.out


def test_an_output_file_with_lines_that_are_none(served: Live) -> None:
    run = served.run("scribble")
    assert served.final(run) == "success"
    assert served.one("SELECT outputs FROM tasks WHERE run = ?", run) == '{"rows":"3"}'
    assert served.output(run, "scribble").splitlines() == [
        'cronflow: output line 2 is no `key=value`: "no such thing"',
        'cronflow: output line 3 is no `key=value`: "=4"',
    ]


# ---- approvals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_decision_about_a_run_that_is_over(served: Live, verb: str) -> None:
    for what in ("1", "1/gate"):
        is_told(served.cli(verb, what), FAILED, "run 1 has ended already", hint=False)
        is_told_as_json(served.cli(verb, what, "--json"), FAILED, "run 1 has ended already")
    is_told(served.cli(verb, "gate"), FAILED, "`gate` does not wait for an approval")
    is_told(served.cli(verb, "gaet"), NOT_THERE, "no job `gaet`", "did you mean `gate`?")
    is_told(served.cli(verb, "77"), NOT_THERE, "there is no run 77")
    is_told(served.cli(verb, "1/gaet"), NOT_THERE, "run 1 has no task `gaet`")
    is_told(served.cli(verb, "1/gate/1"), USAGE, "`1/gate/1` is an attempt")


# ---- backfills --------------------------------------------------------------------------------------------------------------


def test_a_backfill_that_cannot_be(served: Live) -> None:
    def backfill(name: str, *words: str) -> tuple[str, ...]:
        return ("backfill", name, "--from", *words)

    is_told(served.cli(*backfill("hand", "2026-01-01", "--to", "2026-01-02")), USAGE, "`hand` has no schedule")
    reversed_range = backfill("daily", "2026-01-03", "--to", "2026-01-01")
    is_told(served.cli(*reversed_range), USAGE, "`--from 2026-01-03` is after `--to 2026-01-01`")
    is_told(served.cli(*backfill("daily", "2026-01-01", "--to", "2999-01-01")), USAGE, "is in the future")
    is_told(served.cli(*backfill("daily", "2026-01-01 05:00", "--to", "2026-01-01 06:00")), FAILED, "has no slots")
    is_told(served.cli(*backfill("dialy", "2026-01-01", "--to", "2026-01-02")), NOT_THERE, "did you mean `daily`?")
    assert served.cli(*backfill("daily", "2026-01-01", "--to", "2026-01-02")).status == 0
    again = backfill("daily", "2026-01-01", "--to", "2026-01-02")
    is_told(served.cli(*again), FAILED, "`daily` already ran well in all 2 slots", "`--again`")
    is_told_as_json(served.cli(*again, "--json"), FAILED, "already ran well")


# ---- words that are no UTF-8 ------------------------------------------------------------------------------------------------

ODD = [
    (("logs", NO_UTF8), NOT_THERE),
    (("logs", f"{NO_UTF8}/load"), NOT_THERE),
    (("why", NO_UTF8), NOT_THERE),
    (("why", f"1/{NO_UTF8}"), NOT_THERE),
    (("why", "²"), NOT_THERE),
    (("runs", NO_UTF8), NOT_THERE),
    (("retry", NO_UTF8), NOT_THERE),
    (("retry", "1", "--from", NO_UTF8), NOT_THERE),
    (("cancel", NO_UTF8), NOT_THERE),
    (("cancel", f"1/{NO_UTF8}"), NOT_THERE),
    (("approve", NO_UTF8), NOT_THERE),
    (("approve", f"{NO_UTF8}/load"), NOT_THERE),
    (("skip", NO_UTF8), NOT_THERE),
    (("backfill", NO_UTF8, "--from", "yesterday", "--to", "today"), NOT_THERE),
    (("run", "hand", "-p", f"{NO_UTF8}=1"), USAGE),
    (("env", "hand", "-p", f"{NO_UTF8}=1"), USAGE),
]


@pytest.mark.parametrize(("words", "status"), ODD, ids=[ascii(" ".join(words)) for words, _ in ODD])
def test_words_that_are_no_utf8(served: Live, words: tuple[str, ...], status: int) -> None:
    is_told(served.cli(*words), status, hint=False)
    is_told_as_json(served.cli(*words, "--json"), status)


# ---- a broken job file ------------------------------------------------------------------------------------------------------


NEEDY = [("forecast",), ("backfill", "daily", "--from", "yesterday", "--to", "yesterday")]


@pytest.mark.parametrize("words", NEEDY, ids=lambda words: words[0])
def test_who_needs_the_job_file_says_only_what_is_wrong_with_it(served: Live, words: tuple[str, ...]) -> None:
    """No word of what stands in for it, because nothing does."""
    bad = served.write("[jobs.a\n", "bad.toml")
    is_told(served.cli(*words, "--file", str(bad)), FAILED, f"--> {bad}:1:", hint=False)


def test_calendar_files_edited_into_garbage(live: Live) -> None:
    """The daemon goes on by what it has in force, and so do the commands that read."""
    live.write("2026-12-25\n", "days.txt")
    manual, days = '[settings]\nreload = "manual"\n', '[calendars.days]\nfile = "days.txt"\n'
    live.start(manual + days + job("daily", "true", schedule="0 4 * * *", skip_on=["days"]))
    for garbage, told in ((b"\xff\x00", "is not a date"), (b"2026-02-30", "there is no 2026-02-30"), (b"x" * 1_000_001, "1 MB")):
        live.path("days.txt").write_bytes(garbage)
        answer = live.cli("reload")
        check_sane(answer)
        assert answer.status == FAILED
        assert told in answer.err
        assert f"--> {live.file}:4:" in answer.err
    for words in (("next", "daily"), ("why", "daily"), ("status", "daily"), ("graph",)):
        answer = live.cli(*words)
        check_sane(answer)
        assert answer.status == 0, answer
        assert "daily" in answer.out
        assert "; what follows is what the daemon has in force" in answer.err
    assert live.alive()


@pytest.mark.parametrize("words", [("approve",), ("logs", "hand"), ("pause", "hand")], ids=" ".join)
def test_a_job_file_that_is_a_pipe_is_not_waited_for(words: tuple[str, ...]) -> None:
    with living() as live:
        os.mkfifo(live.file)
        answer = live.cli(*words)
        check_sane(answer)
        assert answer.status in (0, FAILED, NO_DAEMON), answer


# ---- another user -----------------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("words", [("status",), ("runs",), ("logs", "hand"), ("why", "hand"), ("forecast",)], ids=" ".join)
def test_a_state_folder_that_may_not_be_entered_is_not_an_empty_one(served: Live, words: tuple[str, ...]) -> None:
    nobody = pwd.getpwnam("nobody")
    command = [sys.executable, "-c", AS_ANOTHER, str(nobody.pw_uid), str(nobody.pw_gid), *words]
    done = subprocess.run(command, env=served.env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 5, done
    assert f"the database `{served.places.database}` may not be read by this user" in done.stderr


@needs_root
def test_a_folder_that_only_another_user_may_write_into(live: Live) -> None:
    live.state.mkdir()
    for state in (live.state, live.state / "below"):
        assert exit_status_of(functools.partial(prepare, Places(live.file, state, state))) == NOT_PERMITTED


def test_a_backfill_that_never_began_says_no_more_than_why(live: Live) -> None:
    live.write(JOBS)
    words = ("backfill", "daily", "--from", "yesterday", "--to", "yesterday", "--state", "/dev/null")
    answer = live.cli(*words)
    check_sane(answer)
    assert answer.status == FAILED
    assert answer.out == ""
    assert answer.err.startswith("error: cannot make the folder `/dev/null`")
