"""Why a job ran, did not run or waits: picks the explanation that applies."""

from __future__ import annotations

from cronflow.facts import explain_edges, explain_slot
from cronflow.facts.evidence import Answer, Context, Evidence
from cronflow.facts.explain_task import explain_run, explain_task
from cronflow.facts.sentences import files_phrase
from cronflow.facts.waits import going
from cronflow.store.queries import RunRecord


def why_job(context: Context, name: str, at: float | None) -> Answer:
    """Why a job ran or not, the last time or at an instant."""
    if at is not None:
        return _why_at(context, name, at)
    waits = explain_edges.waiting(context, name)
    if waits is not None and not going(context.edges, name):
        return waits
    newest = context.history.records(context.history.find_runs(name, context.known.flow_name(name), limit=1))
    if not newest:
        return explain_slot.never_ran(context, name)
    answer = why_run(context, newest[0], None, name)
    answer.because += explain_slot.outlook(context, name, answer)
    return answer


def why_run(context: Context, record: RunRecord, task: str | None, job: str | None = None) -> Answer:
    """Why a run, one of its tasks, or the tasks of one job in it, are as they are. The task must be one of the run."""
    if record.is_row:
        return explain_slot.explain_row(context, record, job)
    if record.run.gate == "edges":
        waits = explain_edges.waiting(context, job or record.run.roots[0], record.run.slot)
        if waits is not None:
            return waits
    if task is not None and task not in record.run.tasks and record.tasks_of(task):
        task, job = None, task
    tasks = [one for one in record.run.tasks.values() if task in (None, one.name) and job in (None, one.job)]
    answer = explain_task(context, record, tasks[0]) if len(tasks) == 1 else explain_run(context, record, tasks, job)
    if record.files.total:
        answer.because.insert(0, Evidence("files", f"started by {files_phrase(record.files)}", record.run.id))
    return answer


def _why_at(context: Context, name: str, at: float) -> Answer:
    flow = explain_slot.flow_of(context, name)
    slot = explain_slot.slot_near(context.known, flow, at)
    record = explain_slot.recorded(context, name, flow, slot, at)
    if record is None:
        waits = explain_edges.waiting(context, name, slot) if slot is not None else None
        return waits or explain_slot.not_recorded(context, name, flow, slot, at)
    answer = why_run(context, record, None, name)
    answer.at = at
    return answer
