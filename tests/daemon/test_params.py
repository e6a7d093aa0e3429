"""Params: from `run -p` into the environment, the history and the run that is tried again."""

from __future__ import annotations

from cronflow.core.jobs import Job
from tests.core.stage import Stage, job
from tests.daemon.live import Live
from tests.daemon.live import job as written

JOBS = (
    written("a", 'echo "$DAY $REGION"; test "$DAY" != bad', params={"DAY": "today", "REGION": "eu"})
    + written("b", 'echo "$DAY ${REGION-}"', after={"a": "done"}, params={"DAY": "b day"})
    + written("c", "true")
)


def test_values_of_a_run_and_defaults(live: Live) -> None:
    live.start(JOBS)
    assert live.final(live.run("a")) == "success"
    assert [live.output(1, name) for name in "ab"] == ["today eu\n", "b day \n"]
    done = live.cli("run", "a", "-p", "DAY=bad", "-p", "REGION=u s=x", "--json")
    assert done.status == 1
    assert done.json["runs"][0]["params"] == {"DAY": "bad", "REGION": "u s=x"}
    assert [live.output(2, name) for name in "ab"] == ["bad u s=x\n", "bad \n"]
    assert "with DAY=bad" in live.cli("status", "2").out
    live.cli("retry", "2")
    assert live.output(3, "a") == "bad u s=x\n"


def test_what_is_no_param(live: Live) -> None:
    live.start(JOBS)
    told = live.cli("run", "a", "-p", "DAY")
    assert told.status == 2
    assert "`DAY` is not `NAME=value`" in told.err
    for words in (("run", "a", "-p", "day=1"), ("run", "a", "-p", "day=1", "--dry-run")):
        told = live.cli(*words)
        assert told.status == 2
        assert "no job that would be started has a param `day`" in told.err
        assert "did you mean `DAY`?" in told.err
    assert "its params are `DAY`" in live.cli("run", "b", "-p", "ZONE=x").err
    assert "`params = { NAME" in live.cli("run", "c", "-p", "ZONE=x").err
    assert live.cli("run", "c", "-p", "ZONE=x").status == 2
    assert live.rows("SELECT id FROM runs") == []


def test_a_run_that_is_only_shown(live: Live) -> None:
    live.write(JOBS)
    told = live.cli("run", "a", "-p", "REGION=us", "--dry-run")
    assert told.out.splitlines()[1:] == ["  a           with DAY=today, REGION=us", "  b  after a  with DAY=b day"]


def test_each_run_has_the_params_of_its_jobs() -> None:
    def with_params(name: str, *keys: str) -> Job:
        return job(name, params=dict.fromkeys(keys, "x"))

    stage = Stage(with_params("a", "DAY"), with_params("b", "DAY", "REGION"), job("c"))
    reply = stage.run("a", "b", "c", params=(("DAY", "1"), ("REGION", "eu")))
    assert [stage.state.runs[number].params for number in reply.runs] == [{"DAY": "1"}, {"DAY": "1", "REGION": "eu"}, {}]
    reply = stage.run("c", params=(("DAY", "1"),))
    assert reply.exit_status == 2
    assert reply.refused == "no job that would be started has a param `DAY`"
