"""Random job files for the simulated world: flows of every shape that the job file can say."""

from __future__ import annotations

import random

from cronflow.core.model import ALERT_KINDS, CONDITIONS, DEFAULT_ALERT_KINDS, AlertTarget, Edge, Job, JobSet, Settings

SCHEDULES = ("*/5 * * * *", "*/20 * * * *", "7 * * * *", "0 */2 * * *", "30 3 * * *", "15 */3 * * mon-fri", "* * * * *")
PERIODS = (60, 300, 900, 3600)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")


def random_jobs(rng: random.Random) -> JobSet:
    """One to four flows of one to six jobs."""
    jobs: dict[str, Job] = {}
    for flow in range(rng.randint(1, 4)):
        for job in _random_flow(rng, f"f{flow}"):
            jobs[job.name] = job
    wanted = {"ops": DEFAULT_ALERT_KINDS, "few": ("failure", "recovery"), "all": ALERT_KINDS}
    alerts = {name: AlertTarget(name, on=kinds) for name, kinds in wanted.items()}
    return JobSet(jobs, alerts if rng.random() < 0.8 else {}, Settings(max_running=rng.choice((1, 2, 3, 64))))


def _random_flow(rng: random.Random, prefix: str) -> list[Job]:
    trigger: dict[str, object] = {"timezone": rng.choice(ZONES)}
    kind = rng.random()
    if kind < 0.5:
        trigger["schedule"] = (rng.choice(SCHEDULES),)
    elif kind < 0.8:
        trigger["every"] = rng.choice(PERIODS)
    elif kind < 0.9:
        trigger["schedule"], trigger["every"] = (rng.choice(SCHEDULES),), rng.choice(PERIODS)
    shared: dict[str, object] = {
        "overlap": rng.choice(("skip", "skip", "queue", "replace", "allow")),
        "catchup": rng.choice(("last", "last", "all", "none")),
    }
    shared["catchup_window"] = rng.choice((None, 1800.0, 7200.0)) if shared["catchup"] != "all" else 7200.0
    roots = rng.choice((1, 1, 1, 2))
    made: list[Job] = []
    for number in range(rng.randint(roots, 6)):
        after = ()
        if number >= roots:
            upstream = rng.sample(made, min(len(made), rng.choice((1, 1, 2, 3))))
            if number == roots:
                upstream = made[:roots]
            after = tuple(Edge(job.name, rng.choice(CONDITIONS[:1] * 3 + CONDITIONS)) for job in upstream)
        own = number < roots or rng.random() < 0.1
        made.append(
            Job(
                f"{prefix}j{number}",
                "true",
                after=after,
                join=rng.choice(("all", "all", "all", "any")),
                enabled=rng.random() > 0.06,
                retries=rng.choice((0, 0, 1, 3)),
                retry_delay=rng.choice((1.0, 30.0, 600.0)),
                retry_on=rng.choice((None, None, (1, "timeout"), ("lost", "killed"))),
                skip_codes=rng.choice(((), (99,))),
                timeout=rng.choice((None, 60.0, 900.0)),
                kill_after=5.0,
                alert=rng.choice((None, None, (), ("few",), ("all",))),
                deadline=rng.choice((None, None, ("duration", 60.0), ("duration", 3600.0), ("time", 14400.0))),
                slow=rng.choice((None, None, ("factor", 1.5), ("duration", 200.0))),
                **(trigger if own else {}),  # type: ignore[arg-type]  # a table of keys
                **shared,  # type: ignore[arg-type]
            )
        )
    return made


def edited(rng: random.Random, jobs: JobSet) -> JobSet:
    """The job file after an edit: a job more, one less, or another trigger, limit or switch."""
    changed = dict(jobs.jobs)
    kind = rng.random()
    if kind < 0.3:
        for job in _random_flow(rng, f"n{rng.randint(0, 3)}"):
            changed.setdefault(job.name, job)
        known = set(changed)
        changed = {name: job for name, job in changed.items() if all(edge.job in known for edge in job.after)}
    elif kind < 0.5:
        gone = rng.choice(sorted({name[:2] for name in changed}))
        changed = {name: job for name, job in changed.items() if not name.startswith(gone)} or changed
    else:
        name = rng.choice(sorted(changed))
        changed[name] = changed[name]._replace(enabled=not changed[name].enabled, retries=rng.choice((0, 2)))
    return JobSet(changed, jobs.alerts, Settings(max_running=rng.choice((1, 2, 64))))
