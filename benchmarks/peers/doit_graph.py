"""The graph for doit (pydoit.org)."""

from benchmarks import graph

DOIT_CONFIG = {"dep_file": ".doit.json", "backend": "json", "verbosity": 0}


def task_graph():
    for name, before in graph.tasks(10):
        yield {
            "basename": name,
            "actions": [f": {name}"],
            "task_dep": before,
        }
