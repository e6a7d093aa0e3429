"""The graph for prefect, two tasks at a time; the server that it starts by itself is part of it."""

import subprocess

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from benchmarks import graph


@task
def step(name):
    subprocess.run(["/bin/sh", "-c", f": {name}"], check=True)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def whole():
    futures = {}
    for name, before in graph.tasks(10):
        futures[name] = step.submit(name, wait_for=[futures[one] for one in before])
    for future in futures.values():
        future.result()


if __name__ == "__main__":
    whole()
