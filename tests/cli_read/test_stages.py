"""Tasks in their stages, and the copies of jobs, on every screen that tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cronflow.cli.verbs.graph import graph
from cronflow.cli.verbs.logs import logs
from cronflow.cli.verbs.runs import runs
from cronflow.cli.verbs.status import status
from cronflow.cli.verbs.why import why
from tests.cli_read.conftest import Screen, cronflow
from tests.cli_read.peer import Peer
from tests.cli_read.tale import Ending, Tale, at

HEAD = 'timezone = "Europe/Berlin"\n'


def tell(tmp_path: Path, toml: str, script: dict[str, list[Ending]] | None = None, job: str = "a") -> Tale:
    """A run by hand, begun on Monday at 02:00."""
    tale = Tale(tmp_path / "tale", HEAD + toml, script or {}).start("Mon 00:00").until("Mon 02:00")
    return tale.act("Run", jobs=(job,))


def flat(text: str) -> str:
    """A screen without its folds."""
    return " ".join(text.split())


# ---- sensor, condition, approval ------------------------------------------------------------------------------------------

SENSOR = '[jobs.a]\ncommand = "a"\nwait_until = "test -e x"\nwait_every = "1m"\nwait_timeout = "1h"\n'


def test_a_sensor_that_waits(tmp_path: Path, screen: Screen) -> None:
    tale = tell(tmp_path, SENSOR, {"a:sensor": [Ending(1, 1, output="no file x\n")]}).until("Mon 02:05:30").close()
    now = "Mon 02:05:30"
    text = screen(tale, why, "a", now=now)
    assert "waits for its `wait_until` since 02:00, until 03:00 at the latest, polled 6 times" in text
    assert "its last poll at 02:05:06: exit 1, its last line: no file x" in text
    assert "cronflow logs 1/a/sensor6" in text
    assert "polled again at 02:06:06 (in 36 s)" in text
    assert "waits for its `wait_until` since 02:00, until 03:00 at the latest, polled 6 times" in screen(tale, status, now=now)
    assert "polled 6 times" in screen(tale, status, "1", now=now)
    (step,) = cronflow(tale, "runs", "--json").json["runs"][0]["tasks"][0]["steps"]
    assert (step["kind"], step["count"], step["n"], step["exit_code"]) == ("sensor", 6, 6, 1)
    assert step["log"].endswith("/a.sensor6.log")


def test_a_sensor_that_ran_out_of_time(tmp_path: Path, screen: Screen) -> None:
    tale = tell(tmp_path, SENSOR, {"a:sensor": [Ending(1, 1, output="no file x\n")]}).until("Mon 04:00").close()
    text = flat(screen(tale, why, "a", now="Mon 04:00"))
    assert "its `wait_until` has not come true within `wait_timeout` (polled 60 times): exit 1, its last line: no file x" in text
    assert "failed its `wait_until` has not come true within" in flat(screen(tale, status, "1", now="Mon 04:00"))
    assert "no file x" in screen(tale, status, now="Mon 04:00"), "the failing job shows the last line of what decided it"


def test_a_condition_that_said_no(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.a]\ncommand = "a"\nonly_if = "false"\n'
    tale = tell(tmp_path, toml, {"a:condition": [Ending(1, 3, output="closed\n")]}).until("Mon 02:01").close()
    text = screen(tale, why, "a", now="Mon 02:01")
    assert text.startswith("a is skipped in run 1 (started by hand by anna, today 02:00).\n")
    assert "its `only_if` said no: exit 3, its last line: closed   cronflow logs 1/a/condition1" in text
    for verb, arguments in ((status, ("1",)), (status, ("a",)), (runs, ()), (runs, ("a",))):
        assert "its `only_if` said no" in screen(tale, verb, *arguments, now="Mon 02:01")


def test_an_approval_and_its_refusal(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.a]\ncommand = "a"\napprove = "really?"\non_failure = "x"\n[jobs.b]\nafter = ["a"]\ncommand = "b"\n'
    tale = tell(tmp_path, toml, {"a:on_failure": [Ending(2, 5, output="mail: no route\n")]}).until("Mon 02:05")
    text = screen(tale, why, "a", now="Mon 02:05", width=120)
    assert text.startswith("a waits for an approval in run 1 (started by hand by anna, today 02:00).\n")
    assert '  · waits for approval since 02:00: "really?"   cronflow approve 1/a\n' in text
    assert "  · or to end it as failed   cronflow reject 1/a\n" in text
    assert 'waits for approval since 02:00: "really?"   run 1   cronflow approve 1/a' in screen(tale, status, now="Mon 02:05")
    assert "waits for approval: a" in screen(tale, runs, now="Mon 02:05")
    assert cronflow(tale, "approve").out == "1/a   since 2024-09-23T02:00:00+02:00   really?\n"
    tale.act("Approval", run=1, task="a", approved=False, reason="no").until("Mon 02:06").close()
    text = flat(screen(tale, why, "a", now="Mon 02:06"))
    assert "· rejected by anna: no ·" in text
    assert "its `on_failure` hook failed (exit 5): nothing about the task changes by that, its last line: mail: no route" in text
    assert "cronflow logs 1/a/on_failure1" in text
    text = screen(tale, status, "1", now="Mon 02:06")
    assert "failed   rejected by anna: no   its `on_failure` hook failed (exit 5)" in text.replace("\n      ", "   ")


# ---- checks and hooks -----------------------------------------------------------------------------------------------------

CHECKED = """
[jobs.a]
command = "a"
retries = 1
retry_delay = "1m"
check = ["test -s out", "wc -l out"]
on_success = "x"
"""


def test_a_check_that_says_no(tmp_path: Path, screen: Screen) -> None:
    script = {
        "a": [Ending(10, 0, output="made it\n")],
        "a:check": [Ending(1, 0), Ending(1, 1, output="3 lines only\n"), Ending(1, 0), Ending(1, 1, output="3 lines only\n")],
    }
    tale = tell(tmp_path, CHECKED, script).until("Mon 02:00:30")
    text = screen(tale, why, "a", now="Mon 02:00:30")
    assert "attempt 1 of 2: exit 0, and then a check failed" in text
    told = "check 2 of 2 `wc -l out`: exit 1, its last line: 3 lines only   cronflow logs 1/a/check2"
    assert told in text.replace("\n      ", "   ")
    assert "a tries again at" in text
    tale.until("Mon 02:10").close()
    text = screen(tale, status, now="Mon 02:10")
    assert "check: exit 1 after 2 attempts" in text
    assert "3 lines only" in text
    assert "a (check: exit 1 after 2 attempts)" in screen(tale, runs, now="Mon 02:10")
    titles = [line for line in screen(tale, logs, "1/a", now="Mon 02:10").splitlines() if line.startswith("──")]
    assert [title.split(" ")[1] for title in titles] == ["1/a/2", "1/a/check3", "1/a/check4"]
    assert titles[0].endswith("exit 0, and then a check failed ──")
    assert " · check · 02:0" in titles[2]
    titles = [line.split(" ")[1] for line in screen(tale, logs, "1", now="Mon 02:10").splitlines() if line.startswith("──")]
    assert titles == ["1/a/1", "1/a/check1", "1/a/check2", "1/a/2", "1/a/check3", "1/a/check4"]
    assert cronflow(tale, "logs", "1/a/check2").raw == b"3 lines only\n"
    lines = cronflow(tale, "logs", "1/a/check4", "--json").json["lines"]
    assert lines == [{"run": 1, "task": "a", "attempt": 4, "kind": "check", "text": "3 lines only"}]
    missing = cronflow(tale, "logs", "1/a/check9")
    assert (missing.status, "it has 1, check1, check2, 2, check3, check4" in missing.err) == (4, True)


def test_what_goes_on_after_the_command_is_said(tmp_path: Path, screen: Screen) -> None:
    tale = tell(tmp_path, CHECKED, {"a:check": [Ending(60)]}).until("Mon 02:00:30").close()
    assert "its `check` looks at it" in screen(tale, status, now="Mon 02:00:30")
    assert "its `check` looks at it" in screen(tale, status, "1", now="Mon 02:00:30")
    assert "its `check` looks at it" in screen(tale, why, "a", now="Mon 02:00:30")


def test_a_hook_that_fails_leaves_a_success(tmp_path: Path, screen: Screen) -> None:
    tale = tell(tmp_path, CHECKED, {"a:on_success": [Ending(1, 7)]}).until("Mon 02:10").close()
    assert screen(tale, status, "1", now="Mon 02:10").count("its `on_success` hook failed (exit 7)") == 1
    assert "its `on_success` hook failed (exit 7)" in screen(tale, why, "a", now="Mon 02:10")
    assert cronflow(tale, "status", "a").out.count("failed") == 0, "nothing about the job changes by that"


# ---- pools ----------------------------------------------------------------------------------------------------------------

POOL = """
[pools]
db = 1
[jobs.a]
command = "a"
pool = "db"
[jobs.b]
command = "b"
pool = "db"
"""


def test_a_full_pool_and_who_holds_it(tmp_path: Path, screen: Screen) -> None:
    tale = tell(tmp_path, POOL, {"a": [Ending(600)]}).act("Run", jobs=("b",)).until("Mon 02:05").close()
    message = "1 of 1 slots of pool `db` are taken, and it needs 1"
    with Peer(tale.places.control):
        text = screen(tale, why, "b", now="Mon 02:05")
    assert "the daemon is not running" not in text
    assert screen(tale, why, "b", now="Mon 02:05").startswith(text), "without a daemon it is the same, and said"
    assert f"  · {message}\n" in text
    assert "  · 1/a has slots of pool `db` since 02:00:00   cronflow why 1/a\n" in text
    assert "queued: the slots of pool `db` are taken" in screen(tale, status, now="Mon 02:05")


# ---- copies ---------------------------------------------------------------------------------------------------------------

FEW = """
[jobs.a]
command = "a"
matrix = { REGION = ["eu", "us", "far away"] }
[jobs.b]
after = ["a"]
command = "b"
[jobs.c]
after = ["a"]
matrix = { REGION = ["eu", "us", "far away"] }
matrix_join = "each"
command = "c"
"""


def test_a_few_copies_stand_one_by_one(tmp_path: Path, screen: Screen) -> None:
    script = {"a[us]": [Ending(10, 1, output="no route\n")], "a[3]": [Ending(600)], "a[eu]": [Ending(5, output="fine\n")]}
    tale = tell(tmp_path, FEW, script).until("Mon 02:05")
    text = screen(tale, status, "1", now="Mon 02:05")
    assert "  ✓ a[eu]  5 s\n" in text
    assert "  ✗ a[us]  failed   exit 1   ran 10 s\n" in text
    assert "  output: cronflow logs '1/a[us]'\n" in text
    assert "waiting for a[3]" in text
    text = screen(tale, why, "a", now="Mon 02:05")
    assert text.startswith("a has 3 copies in run 1 (started by hand by anna, today 02:00): 1 success, 1 failed, 1 running.\n")
    assert "  · a[us]: failed, exit 1   cronflow logs '1/a[us]'\n" in text
    assert "after a[3]: it is running since 02:00:00" in screen(tale, why, "1/b", now="Mon 02:05")
    assert "after a[3]: it is running since 02:00:00" in screen(tale, why, "1/c[3]", now="Mon 02:05")
    tasks = {task["task"]: task for task in cronflow(tale, "runs", "--json").json["runs"][0]["tasks"]}
    assert tasks["a[3]"]["matrix"] == {"REGION": "far away"}
    assert tasks["b"]["waits_for"] == tasks["c[3]"]["waits_for"] == [{"job": "a", "run": 1, "state": "running"}]
    assert (tasks["c[us]"]["state"], tasks["c[us]"]["caused_by"], tasks["c[eu]"]["state"]) == ("blocked", "a[us]", "success")
    (job,) = (job for job in cronflow(tale, "status", "--json").json["jobs"] if job["name"] == "a")
    assert job["state"] == "failed"
    tale.until("Mon 03:00").close()
    text = screen(tale, status, now="Mon 03:00")
    assert "1 of 3 copies: a[us]   exit 1" in text
    assert "after a: 2 success, 1 failed: a[us]" in screen(tale, why, "b", now="Mon 03:00")
    out = screen(tale, logs, "1/a", now="Mon 03:00")
    assert [line.split(" ")[1] for line in out.splitlines() if line.startswith("──")] == ["1/a[3]/1", "1/a[eu]/1", "1/a[us]/1"]
    assert "a × 3" in screen(tale, graph, now="Mon 03:00")
    refused = cronflow(tale, "retry", "1", "--from", "a[su]")
    assert (refused.status, "did you mean `a[us]`?" in refused.err) == (4, True)


def crowd(tmp_path: Path, number: int = 1000) -> Tale:
    toml = '[jobs.a]\ncommand = "a"\nforeach = "ls"\n[jobs.b]\nafter = ["a"]\ncommand = "b"\n[settings]\nmax_running = 2000\n'
    script = {"a:foreach": [Ending(1, items=tuple(f"x{one}" for one in range(number)))], "a[x7]": [Ending(10, 1)]}
    return tell(tmp_path, toml, {**script, "a[x123]": [Ending(10, 2)], "a[x998]": [Ending(900)]})


@pytest.mark.parametrize(("verb", "arguments"), [(status, ()), (status, ("1",)), (why, ("a",)), (why, ("1",)), (why, ("b",))])
def test_a_thousand_copies_are_summed_up(tmp_path: Path, screen: Screen, verb: Any, arguments: tuple[str, ...]) -> None:
    tale = crowd(tmp_path).until("Mon 02:05").close()
    text = screen(tale, verb, *arguments, now="Mon 02:05")
    assert len(text.splitlines()) < 20
    if verb is why and arguments != ("b",):
        assert "997 success, 2 failed, 1 running" in text
        assert "a[x7]: failed, exit 1" in text
        assert "a[x123]: failed, exit 2" in text
    if arguments == ("1",) and verb is status:
        assert "✗ a × 1000  997 success, 2 failed, 1 running: a[x7], a[x123]" in text
        assert "waiting for a[x998]" in text
    if arguments == ("b",):
        assert "after a[x998]: it is running" in text


def test_who_lists_the_copies(tmp_path: Path, screen: Screen) -> None:
    tale = crowd(tmp_path, 2)
    assert "lists its copies (`foreach`)" in screen(tale, why, "1/a", now="Mon 02:00:00")
    tale.until("Mon 02:05").close()
    titles = [line.split(" ")[1] for line in screen(tale, logs, "1/a", now="Mon 02:05").splitlines() if line.startswith("──")]
    assert titles == ["1/a/foreach1", "1/a[x0]/1", "1/a[x1]/1"]
    assert "a (one for each line)" in screen(tale, graph, now="Mon 02:05")


@pytest.mark.parametrize(("ending", "said"), [(Ending(1), "`foreach` had no lines"), (Ending(1, 3), "foreach")])
def test_no_copies(tmp_path: Path, screen: Screen, ending: Ending, said: str) -> None:
    toml = '[jobs.a]\ncommand = "a"\nforeach = "ls"\n'
    tale = tell(tmp_path, toml, {"a:foreach": [ending]}).until("Mon 02:05").close()
    assert said in screen(tale, why, "a", now="Mon 02:05")
    assert said in screen(tale, status, "1", now="Mon 02:05")
    if ending.code:
        assert "foreach: exit 3" in screen(tale, runs, now="Mon 02:05")


def test_the_moment_is_that_of_the_tale() -> None:
    assert at("Mon 02:00") == 1727049600.0


def test_logs_of_a_task_that_waits_say_what_for(tmp_path: Path) -> None:
    tale = tell(tmp_path, '[jobs.a]\ncommand = "a"\napprove = "Really?"\n').close()
    answer = cronflow(tale, "logs", "a")
    assert (answer.status, answer.out) == (0, "")
    assert "1/a · waits for approval since 2024-09-23T02:00:00+02:00: \"Really?\" · no output yet" in answer.err


def test_a_job_that_was_well_says_nothing_of_how_its_run_failed(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.a]\ncommand = "a"\n[jobs.b]\ncommand = "b"\nafter = ["a"]\n'
    tale = tell(tmp_path, toml, {"b": [Ending(1, 1)]}).until("Mon 02:10").close()
    assert screen(tale, status, "a", now="Mon 02:11").splitlines()[-1].split()[-3:] == ["by", "hand", "(anna)"]
