"""Moments, boots, delays and calendars on the screens: `next`, `graph`, `why`."""

from __future__ import annotations

from datetime import date
from itertools import islice
from pathlib import Path

from cronflow.cli.screens.graph import as_data, as_text
from cronflow.cli.screens.next import Coming, next_screen
from cronflow.cli.screens.style import Style, style_for
from cronflow.cli.screens.why import why_screen
from cronflow.core.jobs import Job
from cronflow.core.plan.flow import plan
from cronflow.facts import upcoming
from cronflow.facts.evidence import Context
from cronflow.facts.explain import why_job, why_run
from cronflow.facts.known import KnownJobs
from cronflow.facts.output import Logs
from cronflow.places import Places
from cronflow.store.queries import History
from tests.core.stage import MIDNIGHT, Stage, job

DAY = date(2026, 10, 27).toordinal()
HOUR = 3600.0
MOMENT = int(MIDNIGHT) + 17 * 3600


def known(*jobs: Job, host: str = "", **calendars: set[int]) -> KnownJobs:
    named = {one.name: one for one in jobs}
    dates = {name: frozenset(DAY + day for day in days) for name, days in calendars.items()}
    return KnownJobs(named, plan(named), None, dates, host)


def style(now: float = MIDNIGHT) -> Style:
    return style_for("UTC", now, 120)


# ---- next -----------------------------------------------------------------------------------------------------------------


def test_next_shows_when_it_starts_and_how_long_after_its_slot_that_is() -> None:
    jobs = known(job("a", schedule="0 2 * * *", jitter=600.0), host="db1")
    slot = upcoming.first_slots(jobs, MIDNIGHT)[0]
    late = slot.at - slot.slot
    assert slot.slot == MIDNIGHT + 2 * HOUR
    assert 60 < late < 600
    (note,) = upcoming.notes_of(slot, upcoming.Suspensions(jobs, {}, {}, MIDNIGHT))
    assert note == f"jitter: {late // 60} min {late % 60} s after 02:00"
    suspensions = upcoming.Suspensions(jobs, {}, {}, MIDNIGHT)
    assert "at 02:00 every day + up to 10 min (jitter), UTC" in next_screen(Coming([slot], suspensions), style())
    again = upcoming.first_slots(jobs, slot.slot + 1.0)[0]
    assert again == slot, "between slot and start it is still to come"


def test_next_is_in_the_order_of_the_starts() -> None:
    jobs = known(job("a", every=600, jitter=7200.0), job("b", every=420, jitter=3600.0), job("c", schedule="*/7 * * * *"))
    starts = [slot.at for slot in islice(upcoming.slots_after(jobs, MIDNIGHT + 5), 200)]
    assert starts == sorted(starts)
    assert starts[0] > MIDNIGHT + 5
    assert {slot.flow.name for slot in islice(upcoming.slots_after(jobs, MIDNIGHT), 30)} == {"a", "b", "c"}


def test_next_leaves_out_what_calendars_forbid() -> None:
    b = job("b", schedule="0 13 * * *", only_on=("gone",))
    jobs = known(job("a", schedule="0 12 * * *", skip_on=("off",)), b, off={0, 2})
    shown = [(slot.flow.name, (slot.slot - MIDNIGHT) / HOUR) for slot in islice(upcoming.slots_after(jobs, MIDNIGHT), 3)]
    assert shown == [("a", 36.0), ("a", 84.0), ("a", 108.0)]
    assert upcoming.next_slot(jobs, jobs.plan.flows["b"], MIDNIGHT) is None


def test_a_moment_is_next_until_it_has_come() -> None:
    jobs = known(job("a", at=(MOMENT,), timezone="Europe/Berlin"))
    (slot,) = upcoming.slots_after(jobs, MIDNIGHT)
    coming = Coming([slot], upcoming.Suspensions(jobs, {}, {}, MIDNIGHT))
    assert "once at 2026-10-27 18:00, Europe/Berlin" in next_screen(coming, style())
    assert list(upcoming.slots_after(jobs, MOMENT)) == []


# ---- graph ----------------------------------------------------------------------------------------------------------------


def test_the_graph_names_every_trigger() -> None:
    jobs = known(
        job("boot", schedule="@reboot"),
        job("once", at=(MOMENT, MOMENT + 3600)),
        job("files", watch=("/in/*.csv",), skip_on=("off",)),
        job("late", schedule="0 2 * * *", jitter=600.0, only_on=("work",)),
    )
    flows = list(jobs.plan.flows.values())
    lines = [" ".join(line.split()) for line in as_text(flows, style()).splitlines()]
    assert lines == [
        "boot @reboot at boot",
        "once once at 2026-10-27 17:00, 2026-10-27 18:00",
        "files when /in/*.csv changes, not on off",
        "late 0 2 * * * at 02:00 every day + up to 10 min (jitter), only on work",
    ]
    told = [as_data(flow)["trigger"] for flow in flows]
    assert told == ["@reboot", "at 2026-10-27 17:00; at 2026-10-27 18:00", "watch /in/*.csv", "0 2 * * *"]


# ---- why ------------------------------------------------------------------------------------------------------------------


class Looked(Stage):
    """A stage whose history can be asked."""

    def context(self) -> Context:
        jobs = KnownJobs(self.set.jobs, self.state.plan, None, self.calendars, self.host)
        places = Places(Path("/nowhere/jobs.toml"), Path("/nowhere"), Path("/nowhere"))
        return Context(History(self.store.connection), jobs, style(self.now).clock, Logs(places, lambda _job: ()))

    def why(self, what: str | int) -> str:
        context = self.context()
        record = context.history.record(what) if isinstance(what, int) else None
        answer = why_run(context, record, None) if record is not None else why_job(context, str(what), None)
        return why_screen(answer, style(self.now))


def looked(*jobs: Job, **calendars: set[int]) -> Looked:
    stage = Looked(*jobs, up=False)
    stage.calendars = {name: frozenset(DAY + day for day in days) for name, days in calendars.items()}
    stage.start()
    return stage


def test_why_names_the_calendar_that_forbids_a_day() -> None:
    stage = looked(job("a", schedule="0 */12 * * *", skip_on=("off", "holidays")), holidays={1, 2}, off={5})
    for hour in (12, 24, 36, 48, 60):
        stage.at(hour * HOUR)
        stage.end(f"{stage.state.next_run - 1}/a/1")
    told = stage.why(2)
    assert "skipped: 2026-10-28 to 2026-10-29 are in calendar `holidays` (`skip_on`)" in told
    stage.calendars = {}
    assert "skipped: its calendars, as they were then, left that day out" in stage.why(2)


def test_why_names_the_calendar_that_does_not_have_a_day() -> None:
    stage = looked(job("a", schedule="0 12 * * *", only_on=("work",)), work={4})
    stage.at(12 * HOUR)
    told = stage.why("a")
    assert "skipped: 2026-10-27 is not in `work` (`only_on`)" in told
    assert "next: Sat 12:00" in told


def test_why_says_that_a_slot_to_come_will_be_skipped() -> None:
    stage = looked(job("a", schedule="0 12 * * *", skip_on=("off",)), off={0})
    context = stage.context()
    told = why_screen(why_job(context, "a", MIDNIGHT + 12 * HOUR), style(stage.now))
    assert "it will be skipped: 2026-10-27 is in calendar `off` (`skip_on`)" in told


def test_why_finds_a_slot_by_its_own_time_and_by_that_of_its_start() -> None:
    stage = looked(job("a", schedule="0 2 * * *", jitter=6000.0))
    start = upcoming.first_slots(stage.context().known, MIDNIGHT)[0].at
    stage.at(start - MIDNIGHT)
    stage.end("1/a/1")
    context = stage.context()
    for asked in (MIDNIGHT + 2 * HOUR, start - 30.0):
        assert why_job(context, "a", asked).run == 1


def test_why_tells_boots_and_moments() -> None:
    stage = looked(job("a", schedule="@reboot"), job("b", at=(MOMENT,)))
    assert "it starts at boot" in stage.why("a")
    assert "next: today 17:00" in stage.why("b")
    stage.boot = "second"
    stage.restart(60.0)
    assert "started at boot, today 00:01" in stage.why("a")
    stage.at(17 * HOUR)
    stage.end("2/b/1")
    told = stage.why("b")
    assert "slot today 17:00" in told
    assert "no slot is to come: it starts once at 2026-10-27 17:00" in told
