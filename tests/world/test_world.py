"""The laws of the engine in many simulated worlds: random job files, faults and people, one seed each.

CRONFLOW_WORLDS is how many, CRONFLOW_SEED where they begin.
"""

from __future__ import annotations

import os

import pytest

from tests.world.world import World

SEED = int(os.environ.get("CRONFLOW_SEED", "1"))
WORLDS = int(os.environ.get("CRONFLOW_WORLDS", "160"))
BATCHES = 8
WORTH = (
    *("crash", "goes back", "retrying", "timeout", "lost", ", catchup)", "missed", "overlap", "queue_full", "replaced"),
    *("blocked", "cancelled", "(paused)", "disabled", ", retry)", "alert failure", "alert recovery", "alert missed"),
    *("alert late", "alert slow", "alert skipped"),
    *("/condition", "/sensor", "/check", "/on_failure", "/on_success", "/foreach", "[eu]", "[a]", "(rejected)", "(wait_timeout)"),
    *(", after)", "upstream_not_new", "after_timeout"),
    *("(condition)", "(no_items)", "(check)", "pool_full", "alert approval"),
    *("(calendar)", "reboot)", ", watch)", ", at)", "(skip)", ", backfill)"),
)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_law_is_broken(batch: int) -> None:
    for seed in range(SEED + batch, SEED + WORLDS, BATCHES):
        world = World(seed)
        try:
            world.run(hours=8)
        except BaseException as error:
            error.add_note(f"seed {seed}; the last of {len(world.log)} lines:\n" + "\n".join(world.log[-40:]))
            raise


def test_the_same_seed_gives_the_same_trace() -> None:
    lines = 0
    for seed in range(SEED, SEED + 4):
        traces = []
        for _ in range(2):
            world = World(seed)
            world.run(hours=4)
            traces.append(world.log)
        assert traces[0] == traces[1]
        lines += len(traces[0])
    assert lines > 500


@pytest.mark.timeout(1800)
def test_the_worlds_are_worth_the_trouble() -> None:
    """Crashes, retries, catch-up, overlap, blocked and cancelled tasks all come up."""
    missing = set(WORTH)
    for seed in range(SEED, SEED + 80):
        world = World(seed)
        world.run(hours=8)
        log = "\n".join(world.log)
        missing = {word for word in missing if word not in log}
        if not missing:
            break
    assert missing == set()
