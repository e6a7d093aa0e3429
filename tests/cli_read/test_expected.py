"""What is late or slow: on the screens, for Nagios, as JSON and in `why`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cronflow.cli.invocation import Invocation, Options
from cronflow.cli.nagios import judge
from cronflow.cli.verbs.status import status
from cronflow.cli.verbs.why import why
from cronflow.core import events
from cronflow.core.jobs import JobSet
from cronflow.core.plan.flow import plan
from cronflow.jobfile.read import read
from tests.cli_read.conftest import Screen
from tests.cli_read.peer import Peer
from tests.cli_read.tale import Ending, Tale, at

TOML = """
timezone = "Europe/Berlin"

[jobs.dump]
schedule = "0 8 * * *"
command = "dump"

[jobs.upload]
after = ["dump"]
command = "upload"

[jobs.quick]
schedule = "0 8 * * *"
command = "quick"
"""


class Due(Tale):
    """`dump` must have succeeded after 30 minutes, `upload` by 09:00; `dump` is slow after 20 minutes."""

    def start(self, when: str, alive: str | None = None) -> Tale:
        self.now = at(when)
        self.state = self.store.load()
        jobs = dict(read(str(self.file), thorough=False).jobs.jobs)
        jobs["dump"] = jobs["dump"]._replace(deadline=("duration", 1800.0), slow=("duration", 1200.0))
        jobs["upload"] = jobs["upload"]._replace(deadline=("time", 9 * 3600.0))
        self.step(events.Started(JobSet(jobs), plan(jobs), at(alive) if alive else None))
        return self


@pytest.fixture(scope="module")
def due(tmp_path_factory: pytest.TempPathFactory) -> Tale:
    folder: Path = tmp_path_factory.mktemp("due") / "due"
    script = {"dump": [Ending(4500)], "upload": [Ending(60)], "quick": [Ending(5)]}
    return Due(folder, TOML, script).start("Thu 07:00").until("Thu 08:52").close()


def test_late_and_slow_are_words_of_the_screen(due: Tale, screen: Screen) -> None:
    text = screen(due, status, width=120)
    assert "dump  since 08:00 (52 min)   LATE, due 08:30   SLOW   run 1" in text
    assert "LATE" not in text.split("WAITING")[1]
    later = screen(due, status, now="Thu 09:00", width=120)
    assert "upload  waiting for dump   LATE, due 09:00   run 1" in later
    assert "LATE, due 08:30   SLOW" in screen(due, status, "1", width=120)


def test_nothing_is_late_before_its_time(due: Tale, screen: Screen) -> None:
    text = screen(due, status, now="Thu 08:19", width=120)
    assert "LATE" not in text
    assert "SLOW" not in text


def test_why_gives_the_deadline_and_the_rule(due: Tale, screen: Screen) -> None:
    text = screen(due, why, "dump", width=120)
    assert "late: it had to succeed by 08:30:00 (30 min after its slot)" in text
    assert "slow since 08:20:00: `slow` is 20 min" in text
    waiting = screen(due, why, "upload", now="Thu 09:05", width=120)
    assert "late: it had to succeed by 09:00:00 (1 h after its slot)" in waiting
    assert "late" not in screen(due, why, "quick", width=120)


def test_a_monitoring_system_gets_a_warning(due: Tale, capsys: pytest.CaptureFixture[str]) -> None:
    with Peer(due.places.control):
        for moment, level, words in (
            ("Thu 08:10", 0, "CRONFLOW OK: 3 jobs, 1 task running"),
            ("Thu 08:25", 1, "CRONFLOW WARNING: dump is slow: 25 min"),
            ("Thu 08:52", 1, "CRONFLOW WARNING: dump is late by 22 min; dump is slow: 52 min"),
        ):
            invocation = Invocation(due.places, now=at(moment))
            assert judge(invocation) == level
            assert capsys.readouterr().out.startswith(words)
            assert judge(invocation, "quick") == 0
            capsys.readouterr()


def test_problems_of_the_json(due: Tale, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    status(Invocation(due.places, Options(json=True), now=at("Thu 08:52")))
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert problems == [
        {
            "kind": "late",
            "message": "`dump` has not succeeded by its deadline (run 1)",
            "since": "2024-09-26T08:30:00+02:00",
        },
        {"kind": "slow", "message": "`dump` runs far longer than usual (run 1)", "since": "2024-09-26T08:20:00+02:00"},
    ]
