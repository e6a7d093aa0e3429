"""The verbs, each a function in a module of its own, and the table of them.

The table has the sentence that `cronflow --help` shows of each verb, so that the help of all imports none of them. It is also the
first sentence of the verb's docstring; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Verb(NamedTuple):
    """`where`: `module:function` in this package; of a verb of verbs its module, and the `verbs` in it."""

    where: str
    help: str
    verbs: Mapping[str, Verb] = {}


VERBS: Mapping[str, Mapping[str, Verb]] = {
    "Look": {
        "status": Verb(
            "status:status",
            "Show how everything stands: what fails first, then what runs, waits, is paused, and comes next.",
        ),
        "logs": Verb("logs:logs", "Show the output of the last run, of a job's last run, or of a run, task or attempt."),
        "runs": Verb("runs:runs", "Show the history, newest first: runs, slots that did not run, and what people did."),
        "next": Verb("next:next_slots", "Show the next slots in order of time, and which jobs come after them."),
        "why": Verb("why:why", "Tell why a job ran, did not run, or is waiting, with the evidence."),
        "graph": Verb("graph:graph", "Show the flows: which jobs start together, and what comes after what."),
        "show": Verb("show:show", "Show jobs as a job file would have them, with all defaults filled in."),
        "env": Verb("env:env", "Print the environment in which a job's command runs, as a shell could read it."),
    },
    "Act": {
        "run": Verb("run:run", "Start jobs now, and follow them to their end."),
        "retry": Verb("retry:retry", "Run again what failed, was blocked or cancelled in a run, and all that comes after it."),
        "cancel": Verb("cancel:cancel", "End a run, one task of a run, or what a job has going on."),
        "approve": Verb(
            "approve:approve", "Let a task go on that waits for an approval; without arguments, list the tasks that do."
        ),
        "reject": Verb("approve:reject", "End a task that waits for an approval as failed, without retries."),
        "pause": Verb("pause:pause", "Keep jobs from starting by themselves, until a time or until `cronflow resume`."),
        "resume": Verb("resume:resume", "End the pause of jobs."),
        "skip": Verb("skip:skip", "Leave out the next slots of jobs, one if not said otherwise; `-n 0` takes that back."),
        "backfill": Verb(
            "backfill:backfill", "Run a job for slots of the past, oldest first: those of a range that no run has done well yet."
        ),
    },
    "The job file and the daemon": {
        "init": Verb("init:init", "Write a small job file with comments, to begin with."),
        "check": Verb(
            "check:check", "Show everything that is wrong with the job file, with its place and what to write instead."
        ),
        "plan": Verb("plan:plan", "Show what a reload would change: jobs, flows, next slots, runs that go on."),
        "forecast": Verb(
            "forecast:forecast",
            "Show what the next hours would bring, if every job takes as long as it usually does and succeeds.",
        ),
        "daemon": Verb("daemon:daemon", "Run the daemon, in the foreground: the form that systemd and containers want."),
        "reload": Verb("reload:reload", "Make the daemon read the job file again, now."),
        "stop": Verb("stop:stop", "Stop the daemon, and wait until it is gone."),
        "prune": Verb("prune:prune", "Remove runs and output that are past `keep_runs` and `keep_logs`, now."),
    },
    "Set up": {
        "alerts": Verb(
            "alerts",
            "Try the alert targets, and see which alerts were sent.",
            {
                "test": Verb(
                    "alerts:send_test", "Send a test message to alert targets now, and tell what their services answered."
                ),
                "list": Verb(
                    "alerts:list_alerts", "List the alerts of the history: when, what about, to whom, and whether they were sent."
                ),
            },
        ),
        "import": Verb(
            "import_:import_", "Write a job file from a crontab: a file, standard input, a user's, or all tables of the machine."
        ),
        "export": Verb("export:export", "Write the jobs for cron, systemd, Airflow or dagu, and tell what is lost."),
        "service": Verb(
            "service",
            "Install cronflow as a service of systemd.",
            {"install": Verb("service:install", "Write the unit with which systemd runs the daemon, and show it.")},
        ),
        "doctor": Verb(
            "doctor:doctor", "Look whether this machine and the jobs fit each other, and tell what to do where they do not."
        ),
        "schema": Verb("schema:schema", "Print the JSON Schema of the job file, for editors."),
        "completion": Verb(
            "completion:completion", "Print the script with which a shell completes verbs, flags and the names of jobs."
        ),
    },
}
"""Heading of the help → verb."""

BY_NAME = {name: verb for section in VERBS.values() for name, verb in section.items()}
