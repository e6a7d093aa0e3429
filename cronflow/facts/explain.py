"""Why a job ran, did not run or waits: which of the answers fits."""

from __future__ import annotations

from cronflow.cli.names import no_such_task
from cronflow.errors import CronflowError, Exit
from cronflow.facts import explain_edges, explain_slot
from cronflow.facts.evidence import Answer, Evidence, Scene
from cronflow.facts.explain_task import explain_run, explain_task
from cronflow.facts.phrases import files_phrase


def why_job(scene: Scene, name: str, at: float | None) -> Answer:
    """Why a job ran or not: the last time, or at an instant."""
    if at is not None:
        return _why_at(scene, name, at)
    waits = explain_edges.waiting(scene, name)
    if waits is not None and not (scene.edges is not None and scene.edges.busy.get(name)):
        return waits
    newest = scene.history.find_runs(name, scene.known.flow_name(name), limit=1)
    if not newest:
        return explain_slot.never_ran(scene, name)
    answer = why_run(scene, newest[0], None, name)
    answer.because += explain_slot.outlook(scene, name, answer)
    return answer


def why_run(scene: Scene, number: int, task: str | None, job: str | None = None) -> Answer:
    """Why a run, one task of it, or the tasks of one job in it, are as they are."""
    record = scene.history.record(number)
    if record is None:
        raise CronflowError(f"there is no run {number}", None, Exit.NOT_FOUND)
    if record.is_row:
        return explain_slot.explain_row(scene, record, job)
    if task is not None and task not in record.run.tasks and record.tasks_of(task):
        task, job = None, task
    tasks = [one for one in record.run.tasks.values() if task in (None, one.name) and job in (None, one.job)]
    if task is not None and not tasks:
        raise no_such_task(number, task, record.run.tasks)
    answer = explain_task(scene, record, tasks[0]) if len(tasks) == 1 else explain_run(scene, record, tasks, job)
    if record.files.total:
        answer.because.insert(0, Evidence("files", f"started by {files_phrase(record.files)}", number))
    return answer


def _why_at(scene: Scene, name: str, at: float) -> Answer:
    flow = explain_slot.flow_of(scene, name)
    slot = explain_slot.slot_near(scene.known, flow, at)
    number = explain_slot.recorded(scene, name, flow, slot, at)
    if number is None:
        waits = explain_edges.waiting(scene, name, slot) if slot is not None else None
        return waits or explain_slot.not_recorded(scene, name, flow, slot, at)
    answer = why_run(scene, number, None, name)
    answer.at = at
    return answer
