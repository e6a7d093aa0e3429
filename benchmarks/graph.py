"""Graphs of no-op tasks, `cronflow run` in the foreground against `make -j2`; and what they take in memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from benchmarks.figures import Figure, Goal, Options, Pairs, in_turn
from benchmarks.program import House, house

WIDTH = 100


def task(layer: int, place: int) -> str:
    return f"t{layer}_{place}"


def upstreams(layer: int, place: int, width: int = WIDTH) -> list[str]:
    """Two tasks of the layer before, so that each of these is before two of this one: one flow, and make needs every recipe."""
    return [task(layer - 1, place), task(layer - 1, (place + 1) % width)] if layer else []


def tasks(layers: int, width: int = WIDTH) -> Iterator[tuple[str, list[str]]]:
    """Every task, and what it comes after."""
    for layer in range(layers):
        for place in range(width):
            yield task(layer, place), upstreams(layer, place, width)


def job_file(layers: int) -> str:
    parts = []
    for name, before in tasks(layers):
        after = f"after = [{', '.join(map(repr, before))}]\n" if before else ""
        parts.append(f'[jobs.{name}]\n{after}command = ": {name}"\n')
    return "\n".join(parts)


def makefile(layers: int) -> str:
    """Phony targets, since nothing is made; each recipe is `/bin/sh -c ': NAME'`, which is what cronflow starts."""
    last = " ".join(task(layers - 1, place) for place in range(WIDTH))
    lines = [f".PHONY: all {' '.join(name for name, _ in tasks(layers))}", f"all: {last}"]
    for name, before in tasks(layers):
        lines += [f"{name}: {' '.join(before)}", f"\t@: {name}"]
    return "\n".join(lines) + "\n"


def graph(options: Options) -> list[Figure]:
    """1,000 tasks in 10 layers, and 10,000 in 100."""
    small, memory = _measured(options, 10, options.times(7))
    if options.quick:
        return [small]
    large, more = _measured(options, 100, options.times(3), warm=False)
    ratios = tuple(one / (2 * min(memory) + 50e6) for one in more)
    note = f"{max(more) / 1e6:.0f} MB against {min(memory) / 1e6:.0f} MB"
    against = "2 × the memory for 1,000 tasks + 50 MB"
    return [small, large, Figure("memory of `run` for 10,000 tasks", against, ratios, Goal(1.0), "×", more, memory, note)]


def _measured(options: Options, layers: int, times: int, warm: bool = True) -> tuple[Figure, tuple[float, ...]]:
    with house(options, job_file(layers)) as home:
        memory: list[float] = []
        pairs = _against_make(home, layers, times, memory, warm)
    what = f"graph of {layers * WIDTH:,} no-op tasks, {layers} layers × {WIDTH}"
    return pairs.figure(what, "`make -j2`", 1.5), tuple(memory)


def _against_make(home: House, layers: int, times: int, memory: list[float], warm: bool) -> Pairs:
    make = shutil.which("make")
    if make is None:
        raise RuntimeError("there is no `make`: install it from your distribution")
    (home.folder / "Makefile").write_text(makefile(layers))

    def ours() -> float:
        took = home.call("run", task(0, 0))
        memory.append(took.memory)
        return took.seconds

    return in_turn(times, ours, lambda: home.bare([make, "-j2"]).seconds, warm)
