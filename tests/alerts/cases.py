"""The facts behind the texts in `golden/`: one name, one file. Times are those of Berlin, the week of Thursday 2026-09-24."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

ZONE = "Europe/Berlin"
HOST = "db1"
_DAYS = {"Mon": 21, "Tue": 22, "Wed": 23, "Thu": 24, "Fri": 25, "Sat": 26, "Sun": 27}


def at(text: str) -> float:
    """`"Thu 02:31:14"` as epoch seconds."""
    day, time = text.split()
    return datetime.fromisoformat(f"2026-09-{_DAYS[day]}T{time}").replace(tzinfo=ZoneInfo(ZONE)).timestamp()


BACKUP: dict[str, Any] = {
    "job": "backup-db",
    "schedule": "30 2 * * *",
    "timezone": ZONE,
    "next_at": at("Fri 02:30"),
    "owner": "data-team",
    "runbook": "https://wiki.example/backup-db",
}

FAILURE: dict[str, Any] = BACKUP | {
    "now": at("Thu 02:31:15"),
    "run": 1423,
    "task": "backup-db",
    "trigger": "schedule",
    "slot": int(at("Thu 02:30")),
    "state_reason": "exit_code",
    "exit_code": 1,
    "attempts": [at("Thu 02:30:00"), at("Thu 02:30:30"), at("Thu 02:31:10")],
    "finished_at": at("Thu 02:31:14"),
    "duration_s": 4.2,
    "usual_s": 358.0,
    "failing_since": at("Tue 02:30"),
    "failures": 3,
    "last_success_at": at("Mon 02:36"),
    "blocks": ["upload-offsite", "backup-report"],
    "tail": [
        'pg_dump: error: connection to server at "db.internal" (10.0.4.7), port 5432 failed: Connection refused',
        "        Is the server running on that host and accepting TCP/IP connections?",
    ],
}

MISSED: dict[str, Any] = {
    "now": at("Thu 05:47:02"),
    "down_from": at("Thu 02:10"),
    "down_to": at("Thu 05:47"),
    "slots": 46,
    "caught_up": [["backup-db", int(at("Thu 02:30"))]],
    "recorded": [["sync-customers", 42], ["disk-report", 3]],
    "interrupted": [["reindex", 1417, "lost", "1417/reindex/2"]],
    "cause": "down",
}

LATE: dict[str, Any] = BACKUP | {
    "at": at("Thu 06:00:00"),
    "now": at("Thu 06:00:01"),
    "run": 1423,
    "task": "backup-db",
    "trigger": "schedule",
    "slot": int(at("Thu 02:30")),
    "deadline": at("Thu 06:00"),
    "state": "running",
    "running_since": at("Thu 02:30"),
    "attempts": [at("Thu 02:30")],
    "usual_s": 358.0,
    "last_success_at": at("Wed 02:36"),
    "blocks": ["upload-offsite", "backup-report"],
    "tail": ["dumping table orders"],
}

SLOW: dict[str, Any] = LATE | {
    "at": at("Thu 02:47:54"),
    "now": at("Thu 02:47:55"),
    "deadline": None,
    "slow_after_s": 1074.0,
    "known": 20,
    "attempt": 1,
    "waiting": ["upload-offsite"],
}

SKIPPED: dict[str, Any] = BACKUP | {
    "at": at("Thu 05:00"),
    "now": at("Thu 05:00:01"),
    "job": "sync-customers",
    "run": 1425,
    "trigger": "schedule",
    "schedule": "0 * * * *",
    "slots": 3,
    "slot": int(at("Thu 03:00")),
    "slot_last": int(at("Thu 05:00")),
    "reason": "overlap",
    "going": [[1424, at("Thu 02:00")]],
    "owner": None,
    "runbook": None,
}

PROBLEM = """error: unknown key `timout` in job `backup`
 --> jobs.toml:14:1
   |
14 | timout = "10m"
   | ^^^^^^
   = hint: did you mean `timeout`?
"""

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "failure": ("failure", FAILURE),
    "failure-first": (
        "failure",
        FAILURE | {"attempts": [at("Thu 02:30")], "failures": 1, "failing_since": at("Thu 02:30"), "blocks": []},
    ),
    "failure-bare": ("failure", {"now": at("Thu 02:31:15"), "job": "backup-db", "run": 7}),
    "failure-killed": (
        "failure",
        FAILURE | {"state_reason": "exit_code", "exit_code": 137, "tail": ["Killed"], "runbook": None},
    ),
    "failure-timeout": (
        "failure",
        FAILURE
        | {
            "state_reason": "timeout",
            "exit_code": None,
            "signal": 15,
            "duration_s": 3600.0,
            "message": "`timeout` is 1h",
            "tail": [],
        },
    ),
    "failure-no-cwd": (
        "failure",
        FAILURE | {"state_reason": "no_cwd", "exit_code": None, "message": "`cwd` /srv/etl does not exist", "tail": []},
    ),
    "failure-after-timeout": (
        "failure",
        {
            "now": at("Thu 06:00:00"),
            "finished_at": at("Thu 06:00:00"),
            "job": "load",
            "run": 1430,
            "task": "load",
            "state_reason": "after_timeout",
            "message": "it waited 2 h for `extract`, which is still running in run 1428",
            "schedule": "0 4 * * mon-fri",
            "timezone": ZONE,
        },
    ),
    "failure-reminder-late": (
        "failure",
        FAILURE | {"reminder": True, "now": at("Sat 09:00"), "next_at": at("Sun 02:30"), "failures": 5},
    ),
    "failure-by-hand-matrix": (
        "failure",
        FAILURE
        | {
            "job": "load",
            "task": "load[eu]",
            "trigger": "manual",
            "by": "anna",
            "attempts": [at("Thu 02:30")],
            "signal": 11,
            "exit_code": None,
            "state_reason": "killed",
            "description": "Pull yesterday's orders",
        },
    ),
    "failure-noisy-output": (
        "failure",
        FAILURE
        | {
            "tail": [
                *(f"line {number}" for number in range(1, 30)),
                "\x1b[1;31mERROR\x1b[0m login as admin:hunter2 \x07refused\r",
                "  1%\r 50%\r100% done",
                "\x1b]0;a title\x07x\u202eevil",
                "y" * 1000,
                "",
            ],
            "mask": ["hunter2"],
        },
    ),
    "recovery": (
        "recovery",
        BACKUP
        | {
            "now": at("Thu 09:14:10"),
            "run": 1431,
            "finished_at": at("Thu 09:14:05"),
            "duration_s": 358.0,
            "trigger": "manual",
            "by": "anna",
            "failing_since": at("Tue 02:30:14"),
            "failures": 4,
            "released": [["upload-offsite", "running"], ["backup-report", "queued"]],
        },
    ),
    "missed": ("missed", MISSED),
    "missed-clock": (
        "missed",
        MISSED | {"cause": "clock", "interrupted": [], "recorded": [], "slots": 4, "waiting": [["sync-customers", 3]]},
    ),
    "missed-nothing-but-lost": (
        "missed",
        MISSED
        | {
            "slots": 0,
            "caught_up": [],
            "recorded": [],
            "interrupted": [["reindex", 1417, "lost", None], ["sync", 1418, "lost", "1418/sync/2"]],
        },
    ),
    "config": (
        "config",
        {
            "now": at("Thu 10:01"),
            "file": "/etc/cronflow/jobs.toml",
            "problems": [PROBLEM, PROBLEM.replace("14", "31")],
            "count": 7,
            "in_force_since": at("Mon 09:12"),
        },
    ),
    "system": (
        "system",
        {
            "now": at("Thu 10:01"),
            "since": at("Thu 09:58"),
            "message": "the disk of /var/lib/cronflow is full: logs are cut, scheduling goes on",
            "hint": "free space there, or set `keep_logs` lower",
        },
    ),
    "test": ("test", {"now": at("Thu 10:01"), "target": "ops", "by": "anna"}),
    "late": ("late", LATE),
    "late-waiting": (
        "late",
        LATE
        | {
            "job": "report",
            "task": "report",
            "state": "waiting",
            "running_since": None,
            "waits_for": ["backup-db"],
            "attempts": [],
            "tail": [],
        },
    ),
    "late-blocked": (
        "late",
        LATE
        | {
            "job": "report",
            "task": "report",
            "at": at("Thu 02:31:14"),
            "now": at("Thu 02:31:15"),
            "state": "blocked",
            "cause": "backup-db",
            "ended_at": at("Thu 02:31:14"),
            "running_since": None,
            "attempts": [],
            "tail": [],
        },
    ),
    "late-succeeded": ("late", LATE | {"now": at("Thu 06:40"), "state": "success", "ended_at": at("Thu 06:39:58"), "tail": []}),
    "slow": ("slow", SLOW),
    "slow-by-its-key": ("slow", SLOW | {"slow": ["factor", 2.0], "slow_after_s": 716.0, "timeout_s": 3600.0, "attempt": 2}),
    "skipped": ("skipped", SKIPPED),
    "skipped-queue-full": ("skipped", SKIPPED | {"reason": "queue_full", "slots": 5}),
    "approval": (
        "approval",
        BACKUP
        | {
            "at": at("Thu 02:35"),
            "now": at("Thu 02:35:01"),
            "run": 1423,
            "task": "deploy",
            "job": "deploy",
            "trigger": "manual",
            "by": "anna",
            "message": "look at the figures of the rehearsal first",
            "blocks": ["announce"],
        },
    ),
}
