"""The table of keys, from which validation, suggestions, the JSON Schema and the man page are all made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cronflow.core.jobs import DEFAULT_ALERT_KINDS
from cronflow.jobfile import jobkinds
from cronflow.jobfile.jobkinds import AFTER, APPROVE, CATCHUP, COMMAND, JOIN, KEEP_RUNS, MATRIX_JOIN, OVERLAP, RETRY_ON
from cronflow.jobfile.kinds import TRUTH, UMASK, ValueKind, duration, integer, number, one_of, size, string, strings
from cronflow.jobfile.timekinds import AT, DATES, DEADLINE, SLOW
from cronflow.jobfile.variables import ENV, MATRIX, PARAMS, SECRETS, variable


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the kind of its value, its default as a job file would write it (empty: none), its meaning in a sentence.

    `by_roots`: it acts on a flow through its roots, and has no effect in other jobs."""

    kind: ValueKind
    default: str
    meaning: str
    by_roots: bool = False


Keys = Mapping[str, Key]

ZONE = string('"Europe/Berlin"', check=jobkinds.zone)
CALENDARS = strings('"holidays"', lone=True, check=jobkinds.CALENDAR_NAME)
POOL_LIMIT = 10_000
POOL = integer(1, POOL_LIMIT, 2)
NO_TIMEOUT = "omit it for a job that may run forever"

JOB: Keys = {
    "command": Key(
        COMMAND, "", "What is run. A string is given to the shell; an array is run as it is, without a shell. Every job has one."
    ),
    "description": Key(string('"nightly backup"'), "", "What the job is for; shown in status, alerts and reports."),
    "owner": Key(string('"data-team"'), "", "Who looks after it; shown in alerts."),
    "runbook": Key(string('"https://wiki.example/backup"'), "", "Where to read what to do when it fails; shown in alerts."),
    "tags": Key(strings('"nightly"'), "[]", "Words by which to find it."),
    "enabled": Key(
        TRUTH,
        "true",
        "If false, the job keeps its history and never starts by itself; in the runs of its flow it is skipped (disabled).",
    ),
    "schedule": Key(
        strings('"0 4 * * *"', lone=True),
        "",
        "Cron expressions, whose times are combined: five fields (six: the seconds first), names of months and days, "
        "@hourly, @daily, @weekly, @monthly, @yearly, and L and # in the day fields. "
        "@reboot is once per boot, when the daemon first runs.",
    ),
    "every": Key(
        duration(1.0, whole_seconds=True),
        "",
        "A fixed interval in whole seconds, counted from the Unix epoch so that it does not drift: "
        '"15m" is at :00, :15, :30 and :45.',
    ),
    "at": Key(
        AT,
        "[]",
        "Single dates and times, without quotes: 2026-12-24T18:00:00 is in the zone of the job, "
        "2026-12-24T18:00:00+01:00 is an instant. A time that is past when it is first loaded never runs.",
    ),
    "watch": Key(
        strings('"/srv/in/*.csv"', lone=True, check=jobkinds.watched),
        "[]",
        "Paths or patterns of files; the job starts when a matching file has appeared or changed and has then been unchanged for "
        "settle. Relative paths start from the folder of this file, ~ is the home of the daemon's user. "
        "Files that exist at first load start nothing.",
    ),
    "settle": Key(duration(), '"2s"', "How long a watched file must have been unchanged."),
    "timezone": Key(ZONE, "that of the file", "The IANA name of the zone of the schedule.", by_roots=True),
    "jitter": Key(
        duration(),
        '"0s"',
        "The job starts later than its schedule says, by a fixed part of this time, which depends on the machine's name and the "
        "flow: the same every day, so that many machines do not start at once.",
        by_roots=True,
    ),
    "skip_on": Key(CALENDARS, "[]", "Calendars on whose dates slots are skipped (calendar).", by_roots=True),
    "only_on": Key(
        CALENDARS,
        "[]",
        "Calendars: slots on any other date than theirs are skipped (calendar). Where both apply, skip_on wins.",
        by_roots=True,
    ),
    "catchup": Key(
        CATCHUP,
        '"last"',
        "What to do about slots missed while the daemon was down: run the last one, run all one after the other, or none.",
        by_roots=True,
    ),
    "catchup_window": Key(
        duration(1.0), 'none; "24h" with catchup = "all"', "Missed slots older than this are only recorded.", by_roots=True
    ),
    "after": Key(
        AFTER,
        "[]",
        'The jobs that must end before this one: a list, or a table of conditions such as { load = "failure" }. '
        'Conditions are "success", "failure", "done" and "success_or_skipped".',
    ),
    "join": Key(JOIN, '"all"', "Whether all conditions of after must be met, or the first one is enough."),
    "after_timeout": Key(
        duration(1.0),
        "until the next slot",
        "How long a slot waits for a job of another flow; then it is blocked, with an alert.",
    ),
    "only_if": Key(
        COMMAND,
        "",
        "A command that is run first. If it exits with 0 the job continues; anything else ends the task as skipped (condition).",
    ),
    "wait_until": Key(
        COMMAND,
        "",
        "A command that is run again and again until it exits with 0; then the job continues. "
        "If that takes longer than wait_timeout the task fails (wait_timeout).",
    ),
    "wait_every": Key(duration(1.0), '"30s"', "The time between two runs of wait_until."),
    "wait_timeout": Key(duration(1.0), '"6h"', "How long wait_until may take altogether."),
    "approve": Key(
        APPROVE, "false", "If true, or a message for whoever approves, the task waits for cronflow approve, and an alert says so."
    ),
    "params": Key(
        PARAMS,
        "{}",
        "Variables for the command that cronflow run -p NAME=VALUE overrides. Not PATH, HOME or a key of env. "
        "Merged key by key with those of [defaults].",
    ),
    "matrix": Key(
        MATRIX,
        "{}",
        'Variables with several values each, such as { REGION = ["eu", "us"] }: one task for each combination of them, '
        "at most 1,000. The tasks have names such as load[eu]; a value with anything but letters, digits and . _ - "
        "or longer than 32 characters is named by its position in the list.",
    ),
    "matrix_join": Key(
        MATRIX_JOIN,
        '"all"',
        "After an upstream with the same matrix: wait for all of its copies, or each copy for its counterpart.",
    ),
    "foreach": Key(
        COMMAND, "", "A command that is run first; each line that it prints becomes a task, with the line in the variable ITEM."
    ),
    "env": Key(ENV, "{}", "Variables for the command. Merged key by key with those of [defaults]."),
    "env_file": Key(
        strings('"job.env"', lone=True),
        "",
        "Files of KEY=value lines, read before env when an attempt starts. One that begins with - may be missing.",
    ),
    "secrets": Key(
        SECRETS,
        "{}",
        'Variables whose values are fetched when an attempt starts, and masked: "file:PATH", "env:NAME" (a variable of the '
        'daemon), "credential:NAME" (systemd) or "command:...". Merged key by key with those of [defaults].',
    ),
    "cwd": Key(
        string('"/srv/etl"', filled=True, check=jobkinds.own_home),
        "the user's home",
        "The folder in which the command runs; a relative path starts from the folder of this file, "
        "~ is the home of the job's user.",
    ),
    "user": Key(
        string('"www-data"', filled=True), "the daemon's user", "The user that the command runs as. Needs a daemon run by root."
    ),
    "group": Key(string('"www-data"', filled=True), "that of the user", "The group of the command. Needs a daemon run by root."),
    "shell": Key(
        string('"/bin/bash"', filled=True, check=jobkinds.absolute),
        '"/bin/sh"',
        "The shell that runs a command given as a string.",
    ),
    "stdin": Key(string('"yes"'), "nothing", "Text that the command reads on its standard input."),
    "umask": Key(UMASK, '"022"', 'The file mode creation mask, in octal: "027".'),
    "nice": Key(
        integer(-20, 19, 10),
        "that of the daemon's start",
        "The niceness of the command, from -20 (highest priority) to 19 (lowest priority).",
    ),
    "timeout": Key(
        duration(0.001, instead=NO_TIMEOUT),
        "none",
        "How long an attempt may take; then TERM is sent to all its processes, and KILL after kill_after.",
    ),
    "kill_after": Key(duration(), '"10s"', "The time between TERM and KILL."),
    "retries": Key(integer(0, 1000, 2), "0", "How many more attempts may follow a failed first one."),
    "retry_delay": Key(duration(), '"30s"', "How long after a failed attempt the next one starts, give or take a tenth."),
    "retry_backoff": Key(number(1.0, 100.0, 2.0), "2.0", "The factor by which the delay grows after each further attempt."),
    "retry_max_delay": Key(duration(), '"30m"', "The longest delay between two attempts."),
    "retry_on": Key(
        RETRY_ON,
        "all",
        'Which failures are retried: exit codes, and the words "timeout", "killed", "lost" and "check".',
    ),
    "success_codes": Key(jobkinds.codes("no attempt could succeed"), "[0]", "Exit codes that count as success."),
    "skip_codes": Key(jobkinds.codes(""), "[]", "Exit codes that end the task as skipped; 99 is customary."),
    "overlap": Key(
        OVERLAP,
        '"skip"',
        "What to do about a slot that comes due while a run with the same job is still active: it is skipped, queued (at most "
        "16), replaces that run, or runs alongside it.",
        by_roots=True,
    ),
    "pool": Key(
        string('"warehouse"', filled=True, check=jobkinds.POOL_NAME),
        "",
        "The pool of [pools] whose slots the job takes while it runs.",
    ),
    "pool_slots": Key(POOL, "1", "How many slots of its pool the job takes."),
    "priority": Key(integer(-1000, 1000, 10), "0", "Among tasks that wait for a pool or max_running, the highest goes first."),
    "deadline": Key(
        DEADLINE,
        "none",
        'When the job must have succeeded: a duration after its slot, or a time of day such as "06:00", the first one after '
        "its slot. Otherwise an alert (late).",
    ),
    "slow": Key(
        SLOW,
        "by the history",
        "When a job that is still running is slow (an alert): a number is a multiple of its median, a string is a duration. "
        "Without it, once 10 successes are known: three times the median, and at least 5 minutes more than it.",
    ),
    "check": Key(
        strings('"./verify.sh"', lone=True, check=jobkinds.argument),
        "[]",
        "Commands for the shell that are run after a success, one after the other. If one does not exit with 0, the attempt has "
        "failed (check).",
    ),
    "on_failure": Key(COMMAND, "", "A command that is run once at the end of a task that failed."),
    "on_success": Key(COMMAND, "", "A command that is run once at the end of a task that succeeded."),
    "alert": Key(
        strings('"ops"', check=jobkinds.ALERT_NAME), "all", "Which of the [alerts.NAME] hear about this job; [] for none."
    ),
    "max_output": Key(
        size(1000, 10**12),
        '"10MB"',
        "How much of an attempt's output is kept: its beginning and its end, with a mark between them.",
    ),
}

SETTINGS: Keys = {
    "max_running": Key(integer(1, 10_000, 64), "64", "How many processes run at once, across all jobs."),
    "keep_runs": Key(KEEP_RUNS, '"90d"', "How long the history keeps a run; a plain number is a number of runs of each job."),
    "keep_logs": Key(duration(3600.0), '"30d"', "How long the output of attempts is kept."),
    "reload": Key(
        one_of(("auto", "manual")),
        '"auto"',
        "Whether the daemon reads the files again by itself, once they have been unchanged for 2 seconds after an edit.",
    ),
}
_JOB_LATER = frozenset({"webhook", "executor", "reads", "writes"})
LATER = {"jobs": _JOB_LATER, "defaults": _JOB_LATER, "settings": frozenset({"heartbeat"})}
"""Table → its keys that a later version will support."""

ALERT: Keys = {
    "urls": Key(
        strings('"slack://…"', lone=True, check=jobkinds.alert_url), "", "Where alerts are sent: URLs that Apprise understands."
    ),
    "url_file": Key(
        string('"secrets/slack.url"', filled=True, check=jobkinds.url_file), "", "A file that holds such URLs, one on each line."
    ),
    "url_env": Key(string('"SLACK_URL"', check=variable), "", "The variable of the daemon that holds such a URL."),
    "on": Key(
        strings('"failure"', check=jobkinds.alert_kind),
        "[" + ", ".join(f'"{kind}"' for kind in DEFAULT_ALERT_KINDS) + "]",
        "The kinds of alerts that are sent there.",
    ),
}

CALENDAR: Keys = {
    "dates": Key(DATES, "", "The dates themselves, without quotes: 2026-12-25."),
    "file": Key(
        string('"holidays.txt"', filled=True, check=jobkinds.own_home),
        "",
        "A file with a date such as 2026-12-25 on each line; empty lines and what follows a # are ignored. "
        "~ is the home of the daemon's user. It is read again like the job file.",
    ),
}

TOP: Keys = {
    "timezone": Key(ZONE, "the machine's zone", "The zone of all jobs that name none."),
    "include": Key(
        strings('"jobs.d/*.toml"', lone=True),
        "[]",
        "Further files that hold jobs and alerts, relative to this file and read in order of their paths.",
    ),
}
TABLES = {
    "defaults": "Keys of a job, for all jobs; a job overrides them.",
    "settings": "Limits and retention.",
    "alerts": "[alerts.NAME]: an alert target. It needs one of urls, url_file and url_env.",
    "pools": "NAME = slots: a limit that jobs share. Jobs that name it run at once as long as their slots fit into it.",
    "calendars": "[calendars.NAME]: dates that skip_on and only_on name. It needs either dates or file.",
    "jobs": "[jobs.NAME]: a job.",
}
INCLUDED = ("jobs", "alerts")
"""What an included file may contain, besides tables named `x-…`."""
