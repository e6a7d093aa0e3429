"""Facts of an alert -> its title and body. Pure: the clock, the host and the secrets to mask come with the facts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from cronflow.alerts.expected import approval, late, skipped, slow
from cronflow.alerts.layout import TITLE_WIDTH, clean, headline, last_lines, named, one_line, sentence, sentence_case
from cronflow.alerts.parts import Facts, Parts, last_success, moment, name_of, origin, place_of, said, tail
from cronflow.core import words

_REASONS = {
    "timeout": "Timed out",
    "lost": "Lost: how it ended is not known",
    "check": "Its check failed",
    "wait_timeout": "What it waits for did not come",
    "after_timeout": "An upstream did not end in time",
    "rejected": "Rejected",
    "no_cwd": "Its folder cannot be entered",
    "no_user": "Its user or group is not known here",
    "max_output": "It wrote more than max_output",
}
_FREE = frozenset({"message", "tail", "description", "runbook", "hint"})
"""Facts that hold text from outside, in which a secret may stand; names and reasons are the program's own."""


def text(kind: str, facts: Facts, host: str, zone: str) -> tuple[str, str]:
    """Title (at most 60 characters) and body of an alert of one of the kinds of `ALERT_KINDS`, or `test`.

    `facts["now"]` is the moment of sending, so that an alert that waited for its service still says the truth; times are
    shown in `zone`. A fact that is missing or None leaves out its part. `facts["mask"]` are the secrets to replace by `***`.
    """
    write = {
        "failure": _failure,
        "recovery": _recovery,
        "missed": _missed,
        "config": _config,
        "system": _system,
        "test": _test,
        "late": late,
        "slow": slow,
        "skipped": skipped,
        "approval": approval,
    }[kind]
    secrets = facts.get("mask") or ()
    known = {key: clean(value, secrets) if key in _FREE else value for key, value in facts.items() if value is not None}
    title, parts = write(known, host, zone)
    blocks = ("\n".join(filter(None, part)) for part in parts)
    return title, "\n\n".join(filter(None, blocks))


def _failure(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    after = ", still failing" if facts.get("reminder") else ""
    head = [
        " ".join(filter(None, (_what_failed(facts, zone), _why(facts), _how_long(facts)))),
        _how_often(facts, zone),
        said(facts),
        named("Blocks", facts.get("blocks", ())),
    ]
    return headline("FAILED", name_of(facts), host, after=after), (head, [last_lines(facts.get("tail", ()))], tail(facts, zone))


def _what_failed(facts: Facts, zone: str) -> str:
    verb = "Blocked" if facts.get("state_reason") == "after_timeout" else "Failed"
    if facts.get("reminder"):
        verb = f"Still failing: {verb.lower()} last"
    at = moment(facts, "finished_at", zone)
    starts: Sequence[float] = facts.get("attempts", ())
    tried = f" after {len(starts)} attempts ({_times(starts, facts, zone)})" if len(starts) > 1 else ""
    return f"{verb}{at}{tried}{origin(facts, zone)}."


def _times(starts: Sequence[float], facts: Facts, zone: str) -> str:
    """When attempts began, to the minute; to the second where the minute is that of the one before."""
    end = facts.get("finished_at", starts[-1])
    minutes = [words.clock(start, end, zone) for start in starts]
    shown = ", ".join(
        words.clock(start, end, zone, seconds=True) if index and minutes[index] == minutes[index - 1] else minute
        for index, (start, minute) in enumerate(zip(starts, minutes, strict=True))
    )
    return shown if len(shown) <= 36 else f"{minutes[0]} to {minutes[-1]}"


def _why(facts: Facts) -> str:
    reason = facts.get("state_reason")
    if reason in _REASONS:
        return f"{_REASONS[reason]}."
    if "exit_code" in facts or "signal" in facts:
        status = words.exit_status(facts.get("exit_code"), facts.get("signal"), None)
        return f"{sentence_case(status)}."
    return f"{one_line(reason).replace('_', ' ').capitalize()}." if reason else ""


def _how_long(facts: Facts) -> str:
    if "duration_s" not in facts:
        return ""
    usual = f", usually {words.short_duration(facts['usual_s'])}" if "usual_s" in facts else ""
    return f"Ran {words.duration(facts['duration_s'])}{usual}."


def _how_often(facts: Facts, zone: str) -> str:
    sentences = []
    now = facts.get("now", facts.get("finished_at", 0.0))
    if facts.get("failures") == 1:
        sentences.append("First failure.")
    elif "failing_since" in facts and "failures" in facts:
        since = words.clock(facts["failing_since"], now, zone)
        sentences.append(f"Failing since {since}: {words.count(facts['failures'], 'run')} in a row.")
    return " ".join(filter(None, (*sentences, last_success(facts, zone))))


def _recovery(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    now = facts.get("now", facts.get("finished_at", 0.0))
    took = f" in {words.duration(facts['duration_s'])}" if "duration_s" in facts else ""
    run = f"run {facts['run']}" if "run" in facts else ""
    about = ", ".join(filter(None, (run, origin(facts, zone).strip(" ()"))))
    head = [f"Succeeded{moment(facts, 'finished_at', zone, exact=False)}{took}{f' ({about})' if about else ''}."]
    if "failing_since" in facts:
        since = facts["failing_since"]
        long = words.duration(facts.get("finished_at", now) - since, units=3)
        failed = f": {words.count(facts['failures'], 'failed run')}" if "failures" in facts else ","
        head.append(f"Was failing for {long}{failed} since {words.clock(since, now, zone)}.")
    head.append(named("Released", [f"{one_line(name)} ({state})" for name, state in facts.get("released", ())]))
    output = f"Output:  cronflow logs {place_of(facts)}" if "run" in facts else ""
    return headline("RECOVERED", name_of(facts), host), (head, [], tail(facts, zone, (output, "")))


def _missed(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    now = facts.get("now", facts.get("down_to", 0.0))
    clock_cause = facts.get("cause") == "clock"
    caught, recorded = facts.get("caught_up", ()), facts.get("recorded", ())
    waiting, interrupted = facts.get("waiting", ()), facts.get("interrupted", ())
    total = facts.get("slots", len(caught) + sum(number for _, number in (*recorded, *waiting)))
    span, how_long = "", ""
    if "down_from" in facts and "down_to" in facts:
        start, end = (words.clock(facts[key], now, zone) for key in ("down_from", "down_to"))
        span = f" ({start} to {end})"
        how_long = f" for {words.duration(facts['down_to'] - facts['down_from'])}, from {start} to {end}"
    after = ": the clock jumped" if clock_cause else " while down"
    first = f"The clock jumped, or the machine slept{',' * bool(how_long)}" if clock_cause else "cronflow was down"
    what = words.count(total, "slot") if total or not interrupted else words.count(len(interrupted), "run")
    outcomes = (
        sentence("Caught up once", [f"{one_line(job)} (due {words.clock(slot, now, zone)})" for job, slot in caught]),
        sentence("Being caught up, one after the other", _counts(waiting)),
        sentence("Only recorded", _counts(recorded)),
    )
    head = [
        f"{first}{how_long}.",
        " ".join(filter(None, outcomes)),
        _interrupted(interrupted, reboot=not clock_cause and facts.get("rebooted", True)),
    ]
    word = "MISSED" if total or not interrupted else "LOST"
    title = f"{word} {what} on {host}{after}{span}"
    if len(title) > TITLE_WIDTH:
        title = headline(word, what, host, after=after)
    return title, (head, [], ["See:  cronflow runs --state missed"] if total else [])


def _interrupted(runs: Sequence[Sequence[Any]], reboot: bool) -> str:
    if not runs:
        return ""
    shown = "; ".join(
        f"{one_line(job)} run {run}, {state}, {f'tried again as {one_line(again)}' if again else 'not tried again'}"
        for job, run, state, again in runs[:6]
    )
    more = f"; and {len(runs) - 6} more" if len(runs) > 6 else ""
    return f"Interrupted{' by the reboot' if reboot else ''}: {shown}{more}."


def _config(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    now, file = facts.get("now", 0.0), facts.get("file", "the job file")
    problems: Sequence[str] = facts.get("problems", ())
    number = facts.get("count", len(problems))
    since = f" since {words.clock(facts['in_force_since'], now, zone)}" if "in_force_since" in facts else ""
    head = [
        f"{one_line(file)} has {words.count(number, 'problem')}, so its change was not taken over.",
        f"What was in force{since} stays in force.",
    ]
    drawn = ["\n".join(words.plain(line) for line in str(problem).strip("\n").split("\n")) for problem in problems]
    if number > len(drawn) > 0:
        drawn.append(f"and {number - len(drawn)} more")
    title = headline("CONFIG", file.rsplit("/", 1)[-1], host, after=f": {words.count(number, 'problem')}")
    return title, (head, ["\n\n".join(drawn)], [f"All:  cronflow check {shlex.quote(one_line(file))}"])


def _system(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    message = one_line(facts.get("message", "cronflow needs attention"))
    since = f"Since {words.clock(facts['since'], facts.get('now', facts['since']), zone)}." if "since" in facts else ""
    hint = f"Hint: {one_line(facts['hint'])}" if "hint" in facts else ""
    room = TITLE_WIDTH - len("SYSTEM  on ") - min(len(host), 20)
    title = headline("SYSTEM", words.end_cut(message, room), host)
    return title, ([f"{sentence_case(message)}.", since], [], [hint, "See:  cronflow status"])


def _test(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    target = one_line(facts.get("target", "alerts"))
    at = moment(facts, "now", zone)
    by = f" by {one_line(facts['by'])}" if "by" in facts else ""
    head = [f"This is a test of `[alerts.{target}]`, sent{at}{by}.", "Nothing has failed: failures will look like this one."]
    return headline("TEST", target, host), (head, [], [])


def _counts(pairs: Sequence[Sequence[Any]]) -> list[str]:
    return [f"{one_line(job)} × {number}" if number > 1 else one_line(job) for job, number in pairs]
