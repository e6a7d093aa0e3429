"""The graph for dagster, in one process: a process for each op, its other way, takes a second or two for each."""

import subprocess

from dagster import (
    DependencyDefinition,
    GraphDefinition,
    In,
    MultiDependencyDefinition,
    Nothing,
    OpDefinition,
    Out,
    Output,
    in_process_executor,
)

from benchmarks import graph


def _op(name, before):
    def run(_context, _inputs):
        subprocess.run(["/bin/sh", "-c", f": {name}"], check=True)
        yield Output(None)

    ins = {"before": In(Nothing)} if before else {}
    return OpDefinition(name=name, compute_fn=run, ins=ins, outs={"result": Out(Nothing)})


_tasks = dict(graph.tasks(10))
graph_of_tasks = GraphDefinition(
    name="graph",
    node_defs=[_op(name, before) for name, before in _tasks.items()],
    dependencies={
        name: {"before": MultiDependencyDefinition([DependencyDefinition(one) for one in before])}
        for name, before in _tasks.items()
        if before
    },
)
job = graph_of_tasks.to_job(name="graph", executor_def=in_process_executor)
