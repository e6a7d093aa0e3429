"""What the command line asks the history: the right answers, with few statements, and without reading whole tables."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cronflow.core.effects import Effects
from cronflow.core.jobs import Edge, Job, definition
from cronflow.core.records import Act, Alert, Attempt, Definition, Done, Health, Pause, Run, RunSlot, Task, Trouble
from cronflow.errors import CronflowError
from cronflow.store import outbox
from cronflow.store.queries import History
from cronflow.store.standing import health_of, pauses, standing
from cronflow.store.store import Store


def jobs(*names: str) -> dict[str, Job]:
    """A chain of jobs."""
    return {
        name: Job(name, "true", after=(Edge(names[place - 1]),) if place else (), schedule=() if place else ("0 0 * * *",))
        for place, name in enumerate(names)
    }


def past(number: int, flow: dict[str, Job], state: str = "success", at: float = 1000.0, took: float = 10.0) -> Effects:
    """A run of a chain that has ended."""
    digest, body = definition(flow)
    head = next(iter(flow))
    out = Effects.saving(Definition(digest, head, body), RunSlot(head, "key", int(at), number))
    run = Run(number, head, "schedule", at, digest, "key", (head,), slot=int(at), slot_last=int(at), slots=1, state=state)
    run.started_at, run.finished_at = at, at + took
    out.save(run)
    for name in reversed(flow):
        task = Task(number, name, name, Done(state, at + took), attempts=1, started_at=at, finished_at=at + took)
        out.save(task)
        attempt = Attempt(number, name, 1, state="ended", result="success", exit_code=0, created_at=at, started_at=at)
        attempt.finished_at = at + took
        out.save(attempt)
    return out


def row(number: int, flow: str, slots: int, first: int, last: int, at: float) -> Effects:
    """A row of slots that did not run."""
    run = Run(number, flow, "schedule", at, "", "key", (flow,), slot=first, slot_last=last, slots=slots, state="missed")
    run.is_row, run.reason, run.finished_at = True, "daemon_down", at
    return Effects.saving(run)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path)


def reader(store: Store, tmp_path: Path) -> History:
    store.connection.execute("SELECT 1")
    return History.open(tmp_path / "cronflow.db")


# ---- opening --------------------------------------------------------------------------------------------------------------


def test_a_database_that_does_not_exist_is_an_empty_history(tmp_path: Path) -> None:
    with History.open(tmp_path / "cronflow.db") as history:
        assert history.find_runs() == []
        assert history.newest_run() is None
        assert history.acts() == []
        assert standing(history, 0.0).health == {}
    assert not (tmp_path / "cronflow.db").exists()


def test_an_empty_file_is_an_empty_history(tmp_path: Path) -> None:
    (tmp_path / "cronflow.db").touch()
    with History.open(tmp_path / "cronflow.db") as history:
        assert history.live_runs() == []


def test_a_file_that_is_no_database_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "cronflow.db").write_bytes(b"this is no database, and long enough to see it " * 100)
    with pytest.raises(CronflowError, match="cannot read the database") as caught:
        History.open(tmp_path / "cronflow.db")
    assert caught.value.exit_status == 1


def test_a_database_of_a_newer_version_is_refused(store: Store, tmp_path: Path) -> None:
    store.connection.execute("PRAGMA user_version = 999")
    with pytest.raises(CronflowError, match="newer cronflow"):
        reader(store, tmp_path)


def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c%41 d"
    folder.mkdir()
    store = Store.open(folder)
    store.save(past(1, jobs("a")))
    with History.open(folder / "cronflow.db") as history:
        assert history.find_runs() == [1]


def test_it_cannot_write(store: Store, tmp_path: Path) -> None:
    with reader(store, tmp_path) as history, pytest.raises(sqlite3.OperationalError):
        history.db.execute("DELETE FROM runs")


def test_what_is_told_does_not_change_while_it_is_open(store: Store, tmp_path: Path) -> None:
    store.save(past(1, jobs("a")))
    with reader(store, tmp_path) as history:
        assert history.find_runs() == [1]
        store.save(past(2, jobs("a"), at=2000))
        assert history.find_runs() == [1]
        assert history.newest_run() == 1
    with reader(store, tmp_path) as history:
        assert history.find_runs() == [2, 1]


# ---- runs -----------------------------------------------------------------------------------------------------------------


def test_records_are_complete_and_tasks_stand_in_the_order_of_the_flow(store: Store, tmp_path: Path) -> None:
    flow = jobs("zeta", "mid", "alpha")
    store.save(past(1, flow))
    with reader(store, tmp_path) as history:
        (record,) = history.records([1])
        assert list(record.run.tasks) == ["zeta", "mid", "alpha"]
        assert record.jobs["mid"].after == (Edge("zeta", "success"),)
        assert [one.n for one in record.commands("mid")] == [1]
        assert not record.is_row
        assert history.definition(record.run.definition) == flow
        assert history.record(99) is None


def test_records_come_in_the_order_asked_for(store: Store, tmp_path: Path) -> None:
    for number in range(1, 6):
        store.save(past(number, jobs("a"), at=1000.0 * number))
    with reader(store, tmp_path) as history:
        assert [record.run.id for record in history.records([4, 2, 77, 5])] == [4, 2, 5]


def test_find_runs_by_job_state_and_time(store: Store, tmp_path: Path) -> None:
    store.save(past(1, jobs("a", "b"), at=1000))
    store.save(past(2, jobs("c"), "failed", at=2000))
    store.save(past(3, jobs("a", "b"), "failed", at=3000))
    store.save(row(4, "a", 5, 3500, 3900, 4000))
    with reader(store, tmp_path) as history:
        assert history.find_runs() == [4, 3, 2, 1]
        assert history.find_runs(limit=2) == [4, 3]
        assert history.find_runs(job="b", flow="a") == [4, 3, 1]
        assert history.find_runs(job="c") == [2]
        assert history.find_runs(states=["failed"]) == [3, 2]
        assert history.find_runs(states=["failed", "missed"]) == [4, 3, 2]
        assert history.find_runs(job="a", flow="a", states=["missed"]) == [4]
        assert history.find_runs(since=2000) == [4, 3, 2]
        assert history.find_runs(until=2000) == [2, 1]
        assert history.find_runs(since=2500, until=3500) == [4, 3]
        assert history.find_runs(job="a", flow="a", since=1500, until=3100) == [3]


def test_a_long_row_is_found_by_each_of_its_slots(store: Store, tmp_path: Path) -> None:
    store.save(row(1, "a", 100, 1000, 9000, 1000))
    with reader(store, tmp_path) as history:
        assert history.find_runs(since=8000) == [1]
        assert history.find_runs(until=1500) == [1]
        assert history.find_runs(since=9500) == []
        assert history.find_runs(until=500) == []


def test_last_runs_and_tasks(store: Store, tmp_path: Path) -> None:
    store.save(past(1, jobs("a", "b"), at=1000))
    store.save(past(2, jobs("a"), "failed", at=2000))
    with reader(store, tmp_path) as history:
        assert history.last_runs(["a", "b", "never"]) == {"a": 2, "b": 1}
        assert [task.state for task in history.last_tasks(["a", "b"])["a"]] == ["failed"]
        assert history.last_in_state(["a", "b"], "success") == {"a": 1, "b": 1}
        assert history.newest_run() == 2
        assert history.run_of_slot("a", 2000) == 2
        assert history.run_of_slot("a", 2001) is None


def test_usual_duration_is_the_median_of_the_last_successes(store: Store, tmp_path: Path) -> None:
    store.save(Effects.saving(Health("a", durations=tuple(map(float, range(1, 21)))), Health("b", failures=2)))
    with reader(store, tmp_path) as history:
        assert history.durations(["a", "b", "never"]) == {"a": tuple(map(float, range(1, 21)))}
        assert history.usual_durations(["a", "never"]) == {"a": 10.5}


def test_stored_jobs_are_those_of_the_newest_run_of_each_flow(store: Store, tmp_path: Path) -> None:
    store.save(past(1, jobs("a", "old"), at=1000))
    store.save(past(2, jobs("a", "new"), at=2000))
    store.save(past(3, jobs("c"), at=3000))
    with reader(store, tmp_path) as history:
        assert set(history.stored_jobs()) == {"a", "new", "c"}


def test_acts(store: Store, tmp_path: Path) -> None:
    acts = [Act(100.0, "anna", "pause", "cronflow pause a", job="a"), Act(200.0, "bert", "cancel", "cronflow cancel 7", run=7)]
    store.save(Effects.saving(*acts))
    with reader(store, tmp_path) as history:
        assert [(one.id, one.act.by) for one in history.acts()] == [(2, "bert"), (1, "anna")]
        assert [one.act.verb for one in history.acts(since=150)] == ["cancel"]
        assert [one.act.verb for one in history.acts(until=150)] == ["pause"]
        assert [one.act.verb for one in history.acts(job="a")] == ["pause"]
        assert [one.act.verb for one in history.acts(job="a", runs=[7])] == ["cancel", "pause"]
        assert history.acts(job="b") == []


def test_standing(store: Store, tmp_path: Path) -> None:
    alerts = Alert(50.0, "failure", "ops"), Alert(60.0, "failure", "ops")
    health = Health("a", 10.0, 3), Health("b", None, 0, 5.0)
    paused = Pause("a", 5.0, "anna", 100.0, "why"), Pause("b", 5.0, "bert")
    store.save(Effects.saving(*alerts, *health, *paused, Trouble("config", "config", "broken", 7.0)))
    outbox.note_try(store.connection, 1, 55.0, None, None)
    outbox.note_try(store.connection, 2, None, "HTTP 503", 100.0)
    with reader(store, tmp_path) as history:
        found = standing(history, 50.0)
        assert found.health == {"a": Health("a", 10.0, 3)}
        assert set(found.pauses) == {"a", "b"}
        assert found.troubles == [Trouble("config", "config", "broken", 7.0)]
        assert [(one.target, one.number, one.since, one.error) for one in found.undelivered] == [("ops", 1, 60.0, "HTTP 503")]
        assert set(pauses(history, 101.0)) == {"b"}, "a pause that has run out is over"
        assert health_of(history, "b") == Health("b", None, 0, 5.0)
        assert health_of(history, "c") is None


# ---- cost -----------------------------------------------------------------------------------------------------------------


def test_the_number_of_statements_does_not_grow_with_jobs_or_runs(store: Store, tmp_path: Path) -> None:
    names = [f"job{number}" for number in range(60)]
    for number, name in enumerate(names, 1):
        store.save(past(number, jobs(name), at=1000.0 * number))
    with reader(store, tmp_path) as history:
        for ask, most in (
            (lambda some: history.records(range(1, len(some) + 1)), 5),
            (lambda some: history.last_tasks(some), 1),
            (lambda some: history.last_runs(some), 1),
            (lambda some: history.usual_durations(some), 1),
            (lambda some: history.last_in_state(some, "failed"), 1),
        ):
            for some in (names[:2], names):
                seen: list[str] = []
                history.db.set_trace_callback(seen.append)
                ask(some)
                history.db.set_trace_callback(None)
                assert len(seen) <= most, seen


def test_no_question_reads_a_whole_table_of_tasks_or_attempts(store: Store, tmp_path: Path) -> None:
    """The plans of SQLite: each question about jobs or runs seeks in an index."""
    store.save(past(1, jobs("a", "b")))
    seen: list[str] = []
    with reader(store, tmp_path) as history:
        history.db.set_trace_callback(seen.append)
        history.records([1])
        history.last_tasks(["a"])
        history.last_runs(["a"])
        history.usual_durations(["a"])
        history.last_in_state(["a"], "failed")
        history.find_runs(job="a", flow="a")
        history.newest_run()
        history.live_runs()
        history.run_of_slot("a", 1000)
        history.db.set_trace_callback(None)
        assert len(seen) >= 10
        for statement in seen:
            plan = [step[3] for step in history.db.execute(f"EXPLAIN QUERY PLAN {statement}")]
            whole = [step for step in plan if step.startswith(("SCAN tasks", "SCAN attempts", "SCAN runs"))]
            allowed = [step for step in whole if "runs_live" in step or statement.startswith("SELECT max(run)")]
            assert whole == allowed, (statement, plan)
