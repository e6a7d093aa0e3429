"""The graph for airflow."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

from benchmarks import graph

with DAG("graph", schedule=None) as dag:
    steps = {}
    for name, before in graph.tasks(10):
        steps[name] = BashOperator(task_id=name, bash_command=f": {name}")
        for one in before:
            steps[one] >> steps[name]
