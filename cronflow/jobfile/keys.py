"""The one table of keys. Validation, suggestions, the JSON Schema and the man page all come from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cronflow.core.model import DEFAULT_ALERT_KINDS
from cronflow.jobfile import jobkinds
from cronflow.jobfile.jobkinds import AFTER, CATCHUP, COMMAND, ENV, JOIN, KEEP_RUNS, OVERLAP, RETRY_ON
from cronflow.jobfile.kinds import TRUTH, UMASK, Kind, duration, number, size, string, strings, whole, word


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the kind of its value, its default as the file would write it (empty: none), what it means in a sentence.

    `by_roots`: it acts on a flow through its roots, and has no effect on other jobs."""

    kind: Kind
    default: str
    meaning: str
    by_roots: bool = False


Keys = Mapping[str, Key]

ZONE = string('"Europe/Berlin"', check=jobkinds.zone)
NO_TIMEOUT = "leave it out for a job that may run for ever"

JOB: Keys = {
    "command": Key(
        COMMAND,
        "",
        "What is run. A string is given to the shell; an array is run as it is, without a shell. Every job has one.",
    ),
    "description": Key(string('"nightly backup"'), "", "What the job is for; shown in status, alerts and reports."),
    "owner": Key(string('"data-team"'), "", "Who looks after it; shown in alerts."),
    "runbook": Key(string('"https://wiki.example/backup"'), "", "Where is written what to do when it fails; shown in alerts."),
    "tags": Key(strings('"nightly"'), "[]", "Words to find it by."),
    "enabled": Key(
        TRUTH,
        "true",
        "If false, the job keeps its history and never starts by itself; in the runs of its flow it is skipped (disabled).",
    ),
    "schedule": Key(
        strings('"0 4 * * *"', lone=True, check=jobkinds.expression),
        "",
        "Cron expressions, whose times are put together: five fields (six: the seconds first), names of months and days, "
        "@hourly, @daily, @weekly, @monthly, @yearly, and L and # in the day fields.",
    ),
    "every": Key(
        duration(1.0, whole_seconds=True),
        "",
        "A fixed interval in whole seconds, counted from the Unix epoch so that it does not drift: "
        '"15m" is at :00, :15, :30 and :45.',
    ),
    "timezone": Key(ZONE, "that of the file", "The IANA name of the zone in which the schedule is meant.", by_roots=True),
    "catchup": Key(
        CATCHUP,
        '"last"',
        "What is done about slots missed while the daemon was down: the last one is run, all are run one after the other, "
        "or none is.",
        by_roots=True,
    ),
    "catchup_window": Key(
        duration(1.0),
        'none; "24h" with catchup = "all"',
        "Missed slots older than this are only recorded.",
        by_roots=True,
    ),
    "after": Key(
        AFTER,
        "[]",
        'The jobs that come before this one: a list, or a table of conditions such as { load = "failure" }. '
        'Conditions are "success", "failure", "done" and "success_or_skipped".',
    ),
    "join": Key(JOIN, '"all"', "Whether all conditions of after must be met, or the first one to be met is enough."),
    "env": Key(ENV, "{}", "Variables for the command. Merged key by key with those of [defaults]."),
    "env_file": Key(
        strings('"job.env"', lone=True),
        "",
        "Files of KEY=value lines, read before env when an attempt starts. One that begins with - may be missing.",
    ),
    "cwd": Key(
        string('"/srv/etl"', filled=True, check=jobkinds.tilde),
        "the user's home",
        "The folder that the command runs in; a relative one starts from the folder of this file, "
        "~ is the home of the job's user.",
    ),
    "user": Key(
        string('"www-data"', filled=True),
        "the daemon's user",
        "Whose rights the command has. Needs a daemon run by root.",
    ),
    "group": Key(
        string('"www-data"', filled=True),
        "that of the user",
        "The group of the command. Needs a daemon run by root.",
    ),
    "shell": Key(
        string('"/bin/bash"', filled=True, check=jobkinds.absolute),
        '"/bin/sh"',
        "The shell that is given a command which is a string.",
    ),
    "stdin": Key(string('"yes"'), "nothing", "Text that the command reads on its standard input."),
    "umask": Key(UMASK, '"022"', 'The file mode creation mask, in octal: "027".'),
    "nice": Key(whole(-20, 19, 10), "the daemon's", "The priority of the command, from -20 (first) to 19 (last)."),
    "timeout": Key(
        duration(0.001, instead=NO_TIMEOUT),
        "none",
        "How long an attempt may take; then TERM is sent to all its processes, and KILL after kill_after.",
    ),
    "kill_after": Key(duration(), '"10s"', "The time between TERM and KILL."),
    "retries": Key(whole(0, 1000, 2), "0", "How many attempts may follow a first one that failed."),
    "retry_delay": Key(duration(), '"30s"', "How long after a failed attempt the next one starts, give or take a tenth."),
    "retry_backoff": Key(number(1.0, 100.0, 2.0), "2.0", "What the delay is multiplied with after each further attempt."),
    "retry_max_delay": Key(duration(), '"30m"', "The longest delay between two attempts."),
    "retry_on": Key(
        RETRY_ON,
        "all",
        'What is tried again: exit codes, and the words "timeout", "killed", "lost" and "check".',
    ),
    "success_codes": Key(jobkinds.codes("no attempt could succeed"), "[0]", "Exit codes that are a success."),
    "skip_codes": Key(jobkinds.codes(""), "[]", "Exit codes that end the task as skipped; 99 is the usual one."),
    "overlap": Key(
        OVERLAP,
        '"skip"',
        "What is done about a slot that comes while a run with the same job still goes on: it is skipped, queued (at most 16), "
        "replaces that run, or runs beside it.",
        by_roots=True,
    ),
    "alert": Key(
        strings('"ops"', check=jobkinds.alert_names), "all", "Which of the [alerts.NAME] are told about this job; [] for none."
    ),
    "max_output": Key(
        size(1000, 10**12),
        '"10MB"',
        "How much of an attempt's output is kept: its beginning and its end, with a mark between them.",
    ),
}

# fmt: off
JOB_LATER = frozenset(
    {
        "at", "jitter", "skip_on", "only_on", "watch", "settle", "webhook", "after_timeout", "only_if", "wait_until",
        "wait_every", "wait_timeout", "approve", "secrets", "pool", "pool_slots", "priority", "params", "matrix",
        "matrix_join", "foreach", "executor", "deadline", "slow", "check", "on_failure", "on_success", "reads",
        "writes",
    }
)
# fmt: on
"""Keys of a job that have a meaning in the design and none in this version."""

SETTINGS: Keys = {
    "max_running": Key(whole(1, 10_000, 64), "64", "How many processes run at once, over all jobs."),
    "keep_runs": Key(KEEP_RUNS, '"90d"', "How long the history keeps a run; a plain number is a count of runs for each flow."),
    "keep_logs": Key(duration(3600.0), '"30d"', "How long the output of attempts is kept."),
    "reload": Key(
        word(("auto", "manual")),
        '"auto"',
        "Whether the daemon reads the files again by itself, when they have been unchanged for 2 seconds after an edit.",
    ),
}
SETTINGS_LATER = frozenset({"heartbeat"})

ALERT: Keys = {
    "urls": Key(
        strings('"slack://…"', lone=True, check=jobkinds.alert_url), "", "Where alerts are sent: URLs as Apprise takes them."
    ),
    "url_file": Key(
        string('"secrets/slack.url"', filled=True, check=jobkinds.url_file), "", "A file that holds such URLs, one on a line."
    ),
    "url_env": Key(string('"SLACK_URL"', check=jobkinds.variable), "", "The variable of the daemon that holds such a URL."),
    "on": Key(
        strings('"failure"', check=jobkinds.alert_kind),
        "[" + ", ".join(f'"{kind}"' for kind in DEFAULT_ALERT_KINDS) + "]",
        "The kinds of alerts that go there.",
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
    "alerts": "[alerts.NAME]: a target of alerts. It needs one of urls, url_file and url_env.",
    "jobs": "[jobs.NAME]: a job.",
}
TABLES_LATER = frozenset({"pools", "calendars"})
INCLUDED = ("jobs", "alerts")
"""What an included file may hold, beside tables named `x-…`."""
