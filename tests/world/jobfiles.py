"""Random job files for the simulated world: flows of every shape that the job file can say."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import NamedTuple

from cronflow.core.jobs import ALERT_KINDS, CONDITIONS, DEFAULT_ALERT_KINDS, AlertTarget, Edge, Job, JobSet, Settings


class Pace(NamedTuple):
    """How often the jobs of a world start."""

    schedules: tuple[str, ...]
    periods: tuple[int, ...]


BUSY = Pace(
    ("*/5 * * * *", "*/20 * * * *", "7 * * * *", "0 */2 * * *", "30 3 * * *", "15 */3 * * mon-fri", "* * * * *"),
    (60, 300, 900, 3600),
)
CALM = Pace(
    ("30 3 * * *", "0 6 * * mon-fri", "0 0 1 * *", "15 2 * * sun", "0 */12 * * *", "0 4 * * *", "30 2 * * *"),
    (86400, 172800, 604800),
)
"""Days as most servers have them: some jobs a night."""
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
START = 1_793_000_000.0
TODAY = datetime.fromtimestamp(START, UTC).toordinal()
CALENDARS = {"today": frozenset({TODAY}), "odd": frozenset(range(TODAY - 9, TODAY + 9, 2)), "none": frozenset[int]()}


def random_jobs(rng: random.Random, pace: Pace = BUSY) -> JobSet:
    """One to four flows of one to six jobs."""
    jobs: dict[str, Job] = {}
    for flow in range(rng.randint(1, 4)):
        for job in _random_flow(rng, f"f{flow}", pace):
            jobs[job.name] = job
    jobs.update(_joining(rng, jobs, pace))
    wanted = {"ops": DEFAULT_ALERT_KINDS, "few": ("failure", "recovery"), "all": ALERT_KINDS}
    alerts = {name: AlertTarget(name, on=kinds) for name, kinds in wanted.items()}
    settings = Settings(max_running=rng.choice((1, 2, 3, 64)))
    return JobSet(jobs, alerts if rng.random() < 0.8 else {}, settings, pools=_pools(rng), calendars=CALENDARS, host="world")


def _joining(rng: random.Random, jobs: dict[str, Job], pace: Pace) -> dict[str, Job]:
    """Jobs that come after jobs of several flows, with or without a trigger of their own, and jobs after these."""
    made: dict[str, Job] = {}
    for number in range(rng.choice((0, 0, 1, 2))):
        known = [*jobs.values(), *made.values()]
        upstream = rng.sample(known, min(len(known), rng.choice((1, 2, 2, 3))))
        edges = tuple(Edge(job.name, rng.choice(CONDITIONS[:1] * 3 + CONDITIONS)) for job in upstream)
        keys: dict[str, object] = {"overlap": rng.choice(("skip", "queue", "replace", "allow"))}
        if rng.random() < 0.5:
            keys["schedule"], keys["catchup"] = (rng.choice(pace.schedules),), rng.choice(("last", "none"))
            keys["after_timeout"] = rng.choice((None, None, 1200.0, 10_000.0))
        name = f"x{number}"
        made[name] = Job(name, "true", after=edges, join=rng.choice(("all", "all", "any")), **keys)  # type: ignore[arg-type]
        if rng.random() < 0.5:
            made[f"{name}d"] = Job(f"{name}d", "true", after=(Edge(name, rng.choice(CONDITIONS)),), overlap=keys["overlap"])  # type: ignore[arg-type]
    return made


def _pools(rng: random.Random) -> dict[str, int]:
    return {"few": rng.choice((1, 2)), "some": rng.choice((2, 4))}


def _random_flow(rng: random.Random, prefix: str, pace: Pace) -> list[Job]:
    trigger: dict[str, object] = {"timezone": rng.choice(ZONES)}
    kind = rng.random()
    if kind < 0.5:
        trigger["schedule"] = (rng.choice(pace.schedules),)
    elif kind < 0.8:
        trigger["every"] = rng.choice(pace.periods)
    elif kind < 0.9:
        trigger["schedule"] = (rng.choice(pace.schedules), *rng.choice(((), ("@reboot",))))
        trigger["every"] = rng.choice(pace.periods)
    elif kind < 0.95:
        trigger["at"] = tuple(int(START) + rng.randint(-3600, 40_000) for _ in range(rng.randint(1, 4)))
        trigger["schedule"] = rng.choice(((), ("@reboot",)))
    if rng.random() < 0.2:
        trigger["watch"] = (f"/in/{prefix}/*",)
    if rng.random() < 0.25:
        trigger["jitter"] = rng.choice((30.0, 600.0, 7200.0))
    if rng.random() < 0.2:
        trigger[rng.choice(("skip_on", "only_on"))] = (rng.choice(sorted(CALENDARS)),)
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
                alert=rng.choice((None, None, (), ("few",))),
                **_expectations(random.Random(f"{trigger} {shared} {number}")),  # type: ignore[arg-type]  # a table of keys
                **_stages(rng),  # type: ignore[arg-type]  # a table of keys
                **(trigger if own else {}),  # type: ignore[arg-type]  # a table of keys
                **shared,  # type: ignore[arg-type]
            )
        )
    return made


def _expectations(rng: random.Random) -> dict[str, object]:
    return {
        "deadline": rng.choice((None, None, ("duration", 60.0), ("duration", 3600.0), ("time", 14400.0))),
        "slow": rng.choice((None, None, ("factor", 1.5), ("duration", 200.0))),
    }


def _stages(rng: random.Random) -> dict[str, object]:
    """Keys that give a job stages, limits or copies; most jobs have none."""
    found: dict[str, object] = {}
    for key, value, often in (
        ("only_if", "true", 0.06),
        ("wait_until", "true", 0.06),
        ("approve", "", 0.06),
        ("check", ("true", "true"), 0.08),
        ("on_failure", "true", 0.08),
        ("on_success", "true", 0.05),
        ("foreach", "ls", 0.06),
    ):
        if rng.random() < often:
            found[key] = value
    if "wait_until" in found:
        found["wait_every"], found["wait_timeout"] = rng.choice((10.0, 300.0)), rng.choice((60.0, 3600.0))
    if "foreach" not in found and rng.random() < 0.12:
        found["matrix"] = rng.choice(({"REGION": ("eu", "us")}, {"N": ("1", "2", "3"), "B": ("x", "y")}))
        found["matrix_join"] = rng.choice(("all", "each"))
    if rng.random() < 0.15:
        found["pool"], found["pool_slots"] = rng.choice((("few", 1), ("some", 1), ("some", 2)))
    if rng.random() < 0.1:
        found["priority"] = rng.choice((-5, 5))
    return found


def edited(rng: random.Random, jobs: JobSet, pace: Pace = BUSY) -> JobSet:
    """The job file after an edit: a job more, one less, or another trigger, limit or switch."""
    changed = dict(jobs.jobs)
    kind = rng.random()
    if kind < 0.3:
        for job in _random_flow(rng, f"n{rng.randint(0, 3)}", pace):
            changed.setdefault(job.name, job)
        known = set(changed)
        changed = {name: job for name, job in changed.items() if all(edge.job in known for edge in job.after)}
    elif kind < 0.5:
        gone = rng.choice(sorted({name[:2] for name in changed}))
        changed = {name: job for name, job in changed.items() if not name.startswith(gone)} or changed
        while left := {name for name, job in changed.items() if any(edge.job not in changed for edge in job.after)}:
            changed = {name: job for name, job in changed.items() if name not in left}
    else:
        name = rng.choice(sorted(changed))
        changed[name] = changed[name]._replace(enabled=not changed[name].enabled, retries=rng.choice((0, 2)))
    pools = _pools(rng) if rng.random() < 0.3 else jobs.pools
    return jobs._replace(jobs=changed, settings=Settings(max_running=rng.choice((1, 2, 64))), pools=pools)
