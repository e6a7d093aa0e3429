"""Why slots did not run, why a job is not due at an instant, and when it will start."""

from __future__ import annotations

from cronflow.core import words
from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Run
from cronflow.core.time.triggers import allowed, described, last_allowed
from cronflow.facts import explain_edges, upcoming
from cronflow.facts.evidence import Answer, Context, Evidence
from cronflow.facts.known import KnownJobs
from cronflow.facts.overview import next_start
from cronflow.facts.sentences import reason_words
from cronflow.store import lookups
from cronflow.store.queries import RunRecord

_LOOK_BACK = 400 * 86400
_GOING = ("running", "waiting", "queued", "retrying")


def explain_row(context: Context, record: RunRecord, job: str | None) -> Answer:
    """A row of slots that did not run."""
    run = record.run
    name = job or run.flow
    slot = run.slot if run.slot is not None else int(run.created_at)
    if run.slots == 1 or run.slot_last is None:
        sentence = f"{name} did not run {context.clock.moment(slot)}."
    else:
        span = f"from {context.clock.when(slot)} to {context.clock.when(run.slot_last)}"
        sentence = f"{name} did not run {span} ({run.slots} slots)."
    answer = Answer(name, run.id, float(slot), run.state, sentence)
    if run.reason == "paused":
        asked = [root for root in run.roots if root in context.pauses or context.last_act("pause", root, run.finished_at)]
        answer.because = [context.paused((asked or list(run.roots) or [name])[0], float(slot))]
    elif run.reason == "skip":
        asked = [root for root in run.roots if context.last_act("skip", root, run.finished_at)]
        answer.because = [context.skipped(root, run.finished_at) for root in asked or run.roots[:1]]
    elif run.reason == "overlap":
        answer.because = _overlapped(context, run, slot)
    elif run.reason == "daemon_down":
        answer.because = [_missed(context, run, slot)]
    elif run.reason == "calendar":
        answer.because = [_off(context, record, slot)]
    elif run.reason == "upstream_not_new":
        answer.because = explain_edges.not_new(context, record)
    else:
        answer.because = [Evidence(run.reason or run.state, f"{run.state}: {reason_words(run.reason)}", run.id)]
    answer.because += explain_edges.counted(context, record)
    return answer


def _overlapped(context: Context, run: Run, slot: int) -> list[Evidence]:
    """Which run was still going on."""
    number = lookups.run_going_on_at(context.history, run.flow, run.id, slot)
    record = context.history.record(number)
    if record is None:
        return [Evidence("overlap", "skipped: an earlier run was still going on", run.id)]
    start = context.clock.when(record.run.started_at or record.run.created_at, True)
    end = f"ended {context.clock.when(record.run.finished_at, True)}" if record.run.finished_at is not None else "still goes on"
    message = f"skipped: run {number} was still going on (since {start}, {end})"
    policy = 'the default `overlap = "skip"` leaves such slots out; "queue" would let them wait'
    return [Evidence("overlap", message, number, None, f"cronflow why {number}"), Evidence("overlap_policy", policy)]


def _missed(context: Context, run: Run, slot: int) -> Evidence:
    """When the daemon was down, as far as the history shows, and which run caught up."""
    up = run.created_at
    down = lookups.missed_facts(context.history, up).get("down_from")
    since = f"from {context.clock.when(down, True)} to " if down is not None else "until "
    message = f"missed: the daemon was not running {since}{context.clock.when(up, True)}"
    number = lookups.catchup_after(context.history, run.flow, run.id, run.slot_last or slot)
    record = context.history.record(number)
    if record is None or record.run.created_at - up > 86400:
        return Evidence("daemon_down", message, run.id)
    caught = f" (slot {context.clock.when(record.run.slot)})" if record.run.slot is not None else ""
    return Evidence("daemon_down", f"{message}; catchup ran the last one as run {number}{caught}", number)


def _off(context: Context, record: RunRecord, slot: int) -> Evidence:
    """Which calendars forbid the days of a row, as far as the calendars of today show."""
    run = record.run
    job = record.jobs.get(run.roots[0] if run.roots else run.flow)
    said = None if job is None else forbidding(context, job, slot, run.slot_last or slot)
    return Evidence("calendar", f"skipped: {said or 'its calendars, as they were then, left that day out'}", run.id)


def forbidding(context: Context, job: Job, first: int, last: int) -> str | None:
    """Which calendars of a job forbid the days of some slots: "2026-12-25 is in calendar `holidays` (`skip_on`)"."""
    days = [words.local(slot, job.timezone) for slot in (first, last)]
    shown = " to ".join(dict.fromkeys(f"{day:%Y-%m-%d}" for day in days))
    is_in = "is in" if days[0].date() == days[1].date() else "are in"
    dates = {name: context.known.calendars.get(name, frozenset()) for name in (*job.skip_on, *job.only_on)}
    for name in job.skip_on:
        if days[0].toordinal() in dates[name]:
            return f"{shown} {is_in} calendar `{name}` (`skip_on`)"
    if job.only_on and not any(days[0].toordinal() in dates[name] for name in job.only_on):
        none = "not in" if len(job.only_on) == 1 else "in none of"
        return f"{shown} {is_in[:-3]} {none} {words.listing([f'`{name}`' for name in job.only_on])} (`only_on`)"
    return None


def never_ran(context: Context, job: str) -> Answer:
    """A job without any history."""
    answer = Answer(job, None, None, "never_ran", f"{job} has not run yet.")
    answer.because = outlook(context, job, answer)
    return answer


def outlook(context: Context, name: str, answer: Answer) -> list[Evidence]:
    """When a job will start, or why it will not start by itself; empty while it is going on."""
    job = context.known.jobs.get(name)
    if job is None:
        return [Evidence("gone", "it is not in the job file any more")]
    if answer.verdict in _GOING:
        return []
    if not job.enabled:
        return [Evidence("disabled", "it is disabled in the job file (`enabled = false`)")]
    if name in context.pauses:
        return [] if any(one.code == "paused" for one in answer.because) else [context.paused_now(name)]
    flow = context.known.plan.flows[context.known.plan.flow_of[name]]
    after = f", after {', '.join(edge.job for edge in job.after)}" if job.after else ""
    if not flow.triggers and flow.external_edges:
        return explain_edges.outlook(context, flow, "" if name in flow.roots else after, answer.because)
    if not flow.triggers:
        return [Evidence("by_hand", f"it starts only by hand{after}", None, None, f"cronflow run {flow.roots[0]}")]
    if flow.disabled:
        return [Evidence("no_slot", f"{flow.roots[0]}, with which it starts, is disabled")]
    at = upcoming.next_slot(context.known, flow, context.clock.now)
    events = [trigger for trigger in flow.triggers if not trigger.timed]
    if name in context.skips:
        at = next_start(job, upcoming.Suspensions(context.known, context.pauses, context.skips, context.clock.now))
    found = [] if at is None else [Evidence("next", f"next: {context.clock.day_when(at)}{context.clock.away(at)}{after}")]
    if events:
        found.append(Evidence("event", f"it starts{' also' if found else ''} {described(events)}{after}"))
    if name in context.skips:
        return [context.to_be_skipped(name), *found]
    return found or [Evidence("no_slot", f"no slot is to come: it starts {described(flow.triggers)}")]


def flow_of(context: Context, name: str) -> Flow | None:
    """The flow of a job in the job file."""
    return context.known.plan.flows.get(context.known.flow_name(name))


def slot_near(known: KnownJobs, flow: Flow | None, at: float) -> int | None:
    """The slot in the minute asked about, or the one whose delayed start falls into it."""
    if flow is None or flow.disabled:
        return None
    found = []
    for trigger in flow.triggers:
        for begin in (at, at - trigger.delay(known.host, flow.name)):
            slot = trigger.schedule.next_after(begin - 1)
            if slot is not None and slot < begin + 60:
                found.append(slot)
    return min(found, default=None)


def recorded(context: Context, name: str, flow: Flow | None, slot: int | None, at: float) -> RunRecord | None:
    """The run or row that the history has for a slot, else the run in which the job was going on at an instant."""
    history = context.history
    if slot is not None:
        for root in flow.roots if flow is not None else (name,):
            run = history.run_of_slot(root, slot)
            if run is not None:
                return history.record(run)
    if slot is not None or flow is None or not all(trigger.timed for trigger in flow.triggers) or not flow.triggers:
        first, last = (at, at + 59) if slot is None else (slot, slot)
        record = history.record(lookups.row_of_slots(history, context.known.flow_name(name), first, last))
        if record is not None:
            return record
    return history.record(lookups.run_of_job_at(history, name, at, at + 59))


def not_recorded(context: Context, name: str, flow: Flow | None, slot: int | None, at: float) -> Answer:
    """An instant without any history: still to come, not due, or unknown."""
    if slot is not None and slot > context.clock.now:
        sentence = f"{name} is due {context.clock.moment(slot)}, which is still to come."
        answer = Answer(name, None, at, "to_come", sentence)
        answer.because = [one for one in outlook(context, name, answer) if one.code not in ("next", "event")]
        if flow is not None and _forbidden(context, flow, slot):
            reason = forbidding(context, flow.settings_root, slot, slot)
            answer.because.append(Evidence("calendar", f"it will be skipped: {reason}"))
        return answer
    if slot is not None:
        return _unknown(context, name, slot, at)
    return _not_due(context, name, flow, at)


def _forbidden(context: Context, flow: Flow, slot: int) -> bool:
    """Whether calendars forbid every trigger that has this slot."""
    mine = (trigger for trigger in flow.triggers if trigger.schedule.next_after(slot - 1) == slot)
    return not any(allowed(trigger, context.known.calendars, slot) for trigger in mine)


def _unknown(context: Context, name: str, slot: int, at: float) -> Answer:
    sentence = f"{name} was due {context.clock.moment(slot)} by its schedule of today, but the history has nothing of it."
    answer = Answer(name, None, at, "unknown", sentence)
    begun = lookups.first_run_at(context.history)
    if begun is None:
        answer.because = [Evidence("no_history", "the history is empty: no daemon has run yet", None, None, "cronflow daemon")]
    elif slot < begun:
        answer.because = [Evidence("no_history", f"the history begins at {context.clock.when(begun)}")]
    elif context.daemon_runs:
        message = "the job was added, changed or enabled after that: such an edit never starts anything by itself"
        answer.because = [Evidence("not_loaded", message)]
    else:
        message = "the daemon is not running: it records the slots that it missed when it starts"
        answer.because = [Evidence("daemon_down", message, None, None, "cronflow daemon")]
    return answer


def _not_due(context: Context, name: str, flow: Flow | None, at: float) -> Answer:
    answer = Answer(name, None, at, "not_due", f"{name} was not due {context.clock.moment(at)}.")
    if at > context.clock.now:
        answer.sentence = f"{name} is not due {context.clock.moment(at)}."
    if flow is None or not flow.triggers or flow.disabled:
        answer.because = outlook(context, name, answer)
        return answer
    calendars = context.known.calendars
    past = (last_allowed(one, calendars, at, at - _LOOK_BACK) for one in flow.triggers)
    before = max((slot for slot in past if slot is not None), default=None)
    around = [context.clock.day_when(one) for one in (before, upcoming.next_slot(context.known, flow, at)) if one is not None]
    if around:
        message = f"no slot {context.clock.moment(at)}; the slots around it are {' and '.join(around)}"
        answer.because.append(Evidence("not_due", message))
    schedule = "; ".join(upcoming.trigger_words(one) + (f" {one.schedule.zone}" if one.timed else "") for one in flow.triggers)
    answer.because.append(Evidence("schedule", f"its schedule is {schedule}", None, None, f"cronflow next {name}"))
    return answer
