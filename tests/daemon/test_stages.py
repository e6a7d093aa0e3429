"""The steps of a task with real processes: a condition, a sensor, checks and hooks, and what is left of them."""

from __future__ import annotations

import re
from typing import Any

from tests.daemon.live import Live, job


def steps(live: Live, run: int, task: str = "a") -> list[tuple[Any, ...]]:
    query = "SELECT kind, count, result FROM attempts WHERE run = ? AND task = ? AND kind != 'command' ORDER BY created_at, n"
    return live.rows(query, run, task)


def test_a_sensor_keeps_its_last_poll(live: Live) -> None:
    poll = 'cd "$CRONFLOW_STATE_DIR"; echo x >> polls; echo "poll $(grep -c x polls)"; test "$(grep -c x polls)" = 3'
    live.start(job("a", "true", wait_until=poll, wait_every="1s", timeout="1m"))
    run = live.run("a")
    assert live.final(run) == "success"
    assert steps(live, run) == [("sensor", 3, "success")]
    logs = list(live.places.of_run(run).glob("a.sensor*.log"))
    assert len(logs) == 1
    assert logs[0].read_text() == "poll 3\n"
    assert "poll 3" in live.cli("logs", str(run)).out


def test_a_hook_is_told_how_it_ended(live: Live) -> None:
    facts = "$CRONFLOW_TASK_STATE $CRONFLOW_TASK_REASON ${CRONFLOW_EXIT_CODE-none} $CRONFLOW_ATTEMPT"
    tell = f'echo "{facts}"; cat "$CRONFLOW_OUTPUT"'
    hooks = {"on_failure": tell, "on_success": tell, "retries": 1, "retry_delay": "10ms"}
    live.start(
        job("a", 'echo k=1 > "$CRONFLOW_OUTPUT"; exit 3', **hooks)
        + job("b", "true", **hooks)
        + job("c", "true", check="false", **hooks)
        + job("d", "true", cwd="/no/where", **hooks)
    )
    runs = {name: live.run(name) for name in "abcd"}
    assert [live.final(run) for run in runs.values()] == ["failed", "success", "failed", "failed"]
    told = {name: live.places.of_run(run).glob(f"{name}.on_*.log") for name, run in runs.items()}
    said = {name: "".join(path.read_text() for path in paths) for name, paths in told.items()}
    assert said["a"] == "failed exit_code 3 2\nk=1\n"
    assert said["b"] == "success  0 1\n"
    assert said["c"] == "failed check 0 2\n"
    assert "cannot enter `/no/where`" in str(live.one("SELECT note FROM tasks WHERE job = 'd'"))


def test_steps_that_cannot_start_name_their_key(live: Live) -> None:
    live.start(
        '[jobs.a]\ncommand = "true"\nonly_if = ["no-such-program"]\n'
        '[jobs.b]\ncommand = "true"\ncheck = "true"\nshell = "/no/shell"\n'
    )
    query = "SELECT state, note FROM tasks WHERE run = ?"
    run = live.run("a")
    live.final(run)
    fact = "command not found: `no-such-program`; check `only_if` and PATH"
    assert live.rows(query, run) == [("failed", fact)]
    run = live.run("b")
    live.final(run)
    assert live.rows(query, run) == [("failed", "command not found: `/no/shell`; check `shell` and PATH")]


def test_copies_are_called_by_their_names_and_by_that_of_their_job(live: Live) -> None:
    live.start(job("a", 'echo "$R"; sleep 600', matrix={"R": ["eu", "u/s"]}))
    run = live.run("a")
    live.until(lambda: live.output(run, "a[eu]") and live.output(run, "a[2]"))
    assert "cronflow logs -f '1/a[eu]'" in live.cli("why", f"{run}/a[eu]").out
    assert live.cli("logs", f"{run}/a[2]/1").out == "u/s\n"
    assert "u/s" in live.cli("logs", f"{run}/a").out
    assert live.cli("cancel", f"{run}/a[eu]").status == 0
    live.until(lambda: live.one("SELECT state FROM tasks WHERE name = 'a[eu]'") == "cancelled")
    assert live.cli("cancel", f"{run}/a").status == 0
    assert live.final(run) == "cancelled"
    assert live.cli("cancel", f"{run}/a[eu]").status == 1
    assert live.cli("logs", f"{run}/b").status == 4


def test_each_stage_outlives_its_daemon_under_another_job_file(live: Live) -> None:
    """The daemon is killed while a sensor polls, an approval waits, `foreach` lists, and between command and check; and each time
    the job is gone from the file, or has become something else."""
    go = {name: str(live.path(f"go-{name}")) for name in ("sensor", "lines", "check")}
    wait = "while [ ! -e {} ]; do sleep 0.02; done"
    begin = f'echo "$CRONFLOW_ID" >> {live.path("begun")}; '
    live.start(
        job(
            "a",
            begin + 'echo "$ITEM" > "$CRONFLOW_OUTPUT"',
            wait_until=begin + f"test -e {go['sensor']}",
            wait_every="1s",
            approve=True,
            foreach=begin + wait.format(go["lines"]) + "; echo x; echo y",
            check=begin + wait.format(go["check"]),
        )
        + job("b", begin, after=["a"])
    )
    run = live.run("a")
    matrix, every = job("a", "exit 9", matrix={"M": ["1", "2"]}), job("a", "exit 9", every="1h")
    others = (job("other", "true"), matrix, every, job("b", "exit 9"))
    tells = {"sensor1": "sensor", "foreach": "lines", "check": "check"}

    def killed(other: str, kind: str = "") -> None:
        if kind:
            live.until(lambda: kind in live.path("begun").read_text() if live.path("begun").exists() else "")
        live.signal(9)
        live.ended()
        if kind:
            live.path(f"go-{tells[kind]}").touch()
        live.start(other)

    killed(others[0], "sensor1")
    live.until(lambda: live.one("SELECT stage FROM tasks WHERE job = 'a'") == "approval", "it does not come to its approval")
    killed(others[1])
    assert live.cli("approve", f"{run}/a").status == 0
    killed(others[2], "foreach")
    killed(others[3], "check")
    assert live.final(run) == "success"
    tasks = live.rows("SELECT name, state, attempts FROM tasks WHERE run = ? ORDER BY name", run)
    assert tasks == [("a[x]", "success", 1), ("a[y]", "success", 1), ("b", "success", 1)]
    begun = [line.partition("/")[2] for line in live.path("begun").read_text().splitlines()]
    assert len(begun) == len(set(begun))
    names = sorted(re.sub(r"foreach\d+", "foreach", name) for name in begun if "sensor" not in name)
    assert names == ["a/foreach", "a[x]/1", "a[x]/check1", "a[y]/1", "a[y]/check1", "b/1"]
