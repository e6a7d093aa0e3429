"""`cronflow export airflow`: one Python file for Airflow 3, a DAG for each flow, a BashOperator for each job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cronflow.core.jobs import Edge, Job
from cronflow.core.plan.flow import Flow
from cronflow.core.words import local
from cronflow.export.airflow_proof import summary
from cronflow.export.airflow_times import schedule_of
from cronflow.export.losses import mentions, report_calendars, report_losses, report_variables
from cronflow.export.pythontext import call, identifiers, ids, lines_of, literal, mapping, period
from cronflow.export.report import ExportReport, ExportRequest, ExportResult
from cronflow.export.script import SKIP, script
from cronflow.export.selection import select, write_flows
from cronflow.export.shell import folder_of, guard, text_of

SUPPORTED = frozenset(
    (
        *("owner", "runbook", "tags", "at", "watch", "skip_on", "only_on", "params", "secrets", "umask", "nice", "timeout"),
        *("retries", "retry_delay", "retry_backoff", "retry_max_delay", "success_codes", "skip_codes", "pool", "pool_slots"),
        *("priority", "check", "on_failure", "on_success", "catchup", "overlap", "after_timeout"),
    )
)
REASONS = {"kill_after": "Airflow has its own time between TERM and KILL", "max_output": "Airflow keeps all of it"}
VARIABLES = {"CRONFLOW_RUN_ID": "{{ run_id }}", "CRONFLOW_ATTEMPT": "{{ ti.try_number }}"}
OPERATOR = ("airflow.providers.standard.operators.bash", "BashOperator")
INDENT = "    "
RULES = {
    "all": {"success": "all_success", "failure": "all_failed", "done": "all_done", "success_or_skipped": "none_failed"},
    "any": {"success": "one_success", "failure": "one_failed", "done": "one_done"},
}
HOOK = '''\
def hook(command: str):
    """A callback that runs a command of the shell on the machine that runs the task."""

    def run(context) -> None:
        subprocess.run(["/bin/sh", "-c", command], check=False)

    return run
'''


class DagFile:
    """The file being written: the report, the jobs that other flows wait for, and the imports, as (module, name)."""

    def __init__(self, report: ExportReport, producers: set[str]) -> None:
        self.report = report
        self.producers = producers
        self.imports: set[tuple[str, str]] = {("airflow.sdk", "DAG"), OPERATOR, ("pendulum", "")}


def export(request: ExportRequest) -> ExportResult:
    """Write the DAGs, as one file."""
    report = ExportReport(request)
    plan = select(report)
    producers = {edge.job for flow in plan.flows.values() for edge in flow.external_edges}
    file = DagFile(report, producers)
    names = ids(plan.flows)
    dags = write_flows(plan, report, lambda flow: _dag(flow, names[flow.name], file))
    shared = report.shared()
    parts = [_head(file, sorted(shared))]
    for flow, text in dags:
        losses = [f"# lost: {job}: {loss}\n" for job in flow.jobs for loss in report.of(job) if loss not in shared]
        parts.append("".join(losses) + text)
    steps = [f"next: {step}" for step in (*_pools(request), "put it into your DAGs folder")]
    return ExportResult({"": "\n\n".join(parts)}, report, steps, summary(report))


def _pools(request: ExportRequest) -> list[str]:
    return [f"airflow pools set {name} {slots} ''" for name, slots in request.jobs.pools.items()]


def _head(file: DagFile, shared: Sequence[str]) -> str:
    """The docstring, with what is lost of every job, and the imports."""
    lines = [f"{file.report.request.source} as DAGs for Airflow 3, written by `cronflow export airflow`."]
    lines += ["", *(f"{note}." for note in summary(file.report))] if file.report.compared else []
    lines += ["", "Lost of every job:", *(f"- {message}" for message in shared)] if shared else []
    pools = [f"- {pool}" for pool in _pools(file.report.request)]
    lines += ["", "To create the pools:", *pools] if pools else []
    left_out = [line for line in file.report.lines() if ": not written: " in line]
    lines += ["", *(f"- {line}" for line in left_out)] if left_out else []
    doc = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    doc = f'"""{doc}\n"""' if len(lines) > 1 else f'"""{doc}"""'
    standard = [f"from datetime import {name}" for module, name in sorted(file.imports) if module == "datetime"]
    standard = ["import subprocess", *standard] if ("subprocess", "") in file.imports else standard
    found: dict[str, list[str]] = {}
    for module, name in sorted(file.imports):
        if module not in ("datetime", "subprocess"):
            found.setdefault(module, []).append(name)
    others = [
        f"import {module}" if names == [""] else f"from {module} import {', '.join(names)}" for module, names in found.items()
    ]
    others.sort(key=lambda line: not line.startswith("import"))
    blocks = [doc, "\n".join(standard), "\n".join(others)]
    if ("subprocess", "") in file.imports:
        blocks.append(f"\n{HOOK}".rstrip("\n"))
    return "\n\n".join(filter(None, blocks)) + "\n"


def _dag(flow: Flow, dag_id: str, file: DagFile) -> str:
    schedule = schedule_of(flow, file.report, file.imports)
    root = flow.settings_root
    for job in flow.jobs.values():
        _report_job(job, flow, file.report)
    now = local(file.report.request.now, root.timezone)
    start = f"pendulum.datetime({now:%Y, %-m, %-d, %-H, %-M}, tz={literal(root.timezone)})"
    tags = dict.fromkeys(tag for job in flow.jobs.values() for tag in job.tags)
    params = _params(flow, file.report)
    arguments = [
        ("", literal(dag_id)),
        ("schedule", schedule),
        ("start_date", start),
        ("description", literal(root.description) if root.description else ""),
        ("catchup", str(root.catchup == "all")),
        ("max_active_runs", "1" if root.overlap != "allow" else ""),
        ("tags", f"[{', '.join(map(literal, tags))}]" if tags else ""),
        ("params", mapping(params, INDENT) if params else ""),
        ("is_paused_upon_creation", "True" if flow.disabled else ""),
    ]
    return "\n".join([f"with {call('DAG', arguments, '')}:", *_tasks(flow, params, file)]) + "\n"


def _report_job(job: Job, flow: Flow, report: ExportReport) -> None:
    report_losses(job, SUPPORTED, report, REASONS)
    given = {*VARIABLES, "CRONFLOW_JOB", "CRONFLOW_DATE", "CRONFLOW_SCHEDULED_AT"}
    report_variables(job, given, report)
    if job.name not in flow.roots:
        return
    if flow.triggers and job.overlap in ("skip", "replace"):
        report.lose(job.name, "overlap", f'`overlap = "{job.overlap}"`: a run waits while another one is active')
    report_calendars(job, report)
    ends = [name for name in flow.jobs if not flow.down.get(name)]
    odd = [name for name in ends if any(edge.condition != "success" for edge in flow.jobs[name].after)]
    if odd and job.name == flow.roots[0]:
        report.lose(job.name, "after", f"Airflow counts a run as a success if its last tasks succeed, such as `{odd[0]}`")


def _params(flow: Flow, report: ExportReport) -> dict[str, str]:
    """The params of a DAG: those for which all of its jobs have the same default."""
    found: dict[str, str] = {}
    for job in flow.jobs.values():
        for name, value in job.params.items():
            if found.setdefault(name, value) != value:
                report.lose(job.name, "params", f"`{name}` has a different default in another job of the DAG, and is fixed here")
    return found


# ---- tasks ----------------------------------------------------------------------------------------------------------------


def _tasks(flow: Flow, params: dict[str, str], file: DagFile) -> Iterator[str]:
    """The assignments of the tasks of a DAG, then their order."""
    names = TaskNames(flow)
    order: list[str] = []
    for name, job in flow.jobs.items():
        inner = [edge for edge in job.after if edge.job in flow.jobs]
        rule, gated = _rule(job, inner)
        before = list(_before(job, names, rule, file))
        for kind, text in before:
            yield f"{INDENT}{names.variables[kind]} = {text}"
        own_rule = literal(rule) if rule != "all_success" and not before else ""
        arguments = [*_arguments(job, names.ids[name], params, file), ("trigger_rule", own_rule)]
        yield f"{INDENT}{names.variables[name]} = {call('BashOperator', arguments, INDENT)}"
        line = [names.variables[kind] for kind in (*(kind for kind, _ in before), name)]
        for number, edge in enumerate(inner, 1) if gated else ():
            gate = names.variables[f"{name} edge {number}"]
            yield f"{INDENT}{gate} = {_gate(edge, names.ids[f'{name} edge {number}'], file)}"
            order.append(f"{INDENT}{names.variables[edge.job]} >> {gate} >> {line[0]}")
        upstream = [names.variables[edge.job] for edge in inner] if not gated else []
        first = [upstream[0] if len(upstream) == 1 else f"[{', '.join(upstream)}]"] if upstream else []
        if len(first) + len(line) > 1:
            order.append(f"{INDENT}{' >> '.join([*first, *line])}")
    yield from order


class TaskNames:
    """The ids of the tasks of a DAG and the variables that hold them: for its jobs, and for the tasks in front of a job."""

    def __init__(self, flow: Flow) -> None:
        beside = [f"{name} {kind}" for name in flow.jobs for kind in ("wait", "approve")]
        edges = [f"{name} edge {number}" for name, job in flow.jobs.items() for number in range(1, len(job.after) + 1)]
        every = [*flow.jobs, *beside, *edges]
        self.variables = identifiers(every)
        self.ids = ids(every)


def _rule(job: Job, edges: Sequence[Edge]) -> tuple[str, bool]:
    """The trigger rule of a task, and whether each edge needs a separate task because the conditions differ."""
    conditions = {edge.condition for edge in edges}
    if not conditions:
        return "all_success", False
    join = job.join if len(edges) > 1 else "all"
    if len(conditions) == 1 and (condition := conditions.pop()) in RULES[join]:
        return RULES[join][condition], False
    return RULES[join]["success"], True


def _gate(edge: Edge, task_id: str, file: DagFile) -> str:
    """An empty task that succeeds if one condition is met."""
    file.imports.add(("airflow.providers.standard.operators.empty", "EmptyOperator"))
    rule = RULES["all"][edge.condition]
    return f"EmptyOperator(task_id={literal(task_id)}, trigger_rule={literal(rule)})"


def _before(job: Job, names: TaskNames, rule: str, file: DagFile) -> Iterator[tuple[str, str]]:
    """The tasks before the command: a sensor, an approval. The first of them has the trigger rule."""
    waits, approves = f"{job.name} wait", f"{job.name} approve"
    rules = [("trigger_rule", literal(rule))] if rule != "all_success" else []
    if job.wait_until is not None:
        file.imports.add(("airflow.providers.standard.sensors.bash", "BashSensor"))
        asked = job._replace(command=job.wait_until, only_if=None, check=(), stdin=None, success_codes=(0,), cwd=job.cwd or "~")
        arguments = [
            ("task_id", literal(names.ids[waits])),
            ("bash_command", _rendered(script(asked, file.report, cwd=True, env=True), INDENT)),
            ("poke_interval", f"{job.wait_every:g}"),
            ("timeout", f"{job.wait_timeout:g}"),
            ("mode", literal("reschedule")),
            *rules,
        ]
        rules = []
        yield waits, call("BashSensor", arguments, INDENT)
    if job.approve is not None:
        file.imports.add(("airflow.providers.standard.operators.hitl", "ApprovalOperator"))
        subject = _jinja(job.approve or f"May {job.name} run?")
        arguments = [("task_id", literal(names.ids[approves])), ("subject", literal(subject)), ("fail_on_reject", "True"), *rules]
        yield approves, call("ApprovalOperator", arguments, INDENT)


def _arguments(job: Job, task_id: str, params: dict[str, str], file: DagFile) -> list[tuple[str, str]]:
    flow_guard = guard(job, file.report.request, f"exit {SKIP}") if not job.after else ""
    text = script(job, file.report, flow_guard)
    env = _env(job, params)
    codes = [*job.skip_codes, *([SKIP] if (flow_guard or job.only_if) and SKIP not in job.skip_codes else [])]
    if job.retries or job.timeout is not None:
        file.imports.add(("datetime", "timedelta"))
    grows = job.retries > 1 and job.retry_backoff != 1.0
    return [
        ("task_id", literal(task_id)),
        ("bash_command", _rendered(text, INDENT * 2)),
        ("env", mapping(env, INDENT * 2) if env else ""),
        ("append_env", "True" if env else ""),
        ("cwd", literal(_jinja(folder_of(job, file.report.request.user)))),
        ("skip_on_exit_code", "None" if not codes else str(codes[0]) if len(codes) == 1 else str(codes)),
        ("retries", str(job.retries) if job.retries else ""),
        ("retry_delay", period(job.retry_delay) if job.retries else ""),
        ("retry_exponential_backoff", f"{job.retry_backoff:g}" if grows else ""),
        ("max_retry_delay", period(job.retry_max_delay) if grows else ""),
        ("execution_timeout", period(job.timeout) if job.timeout is not None else ""),
        ("pool", literal(job.pool) if job.pool is not None else ""),
        ("pool_slots", str(job.pool_slots) if job.pool is not None else ""),
        ("priority_weight", str(job.priority) if job.priority else ""),
        ("weight_rule", literal("absolute") if job.priority else ""),
        *_about(job, file),
    ]


def _about(job: Job, file: DagFile) -> list[tuple[str, str]]:
    """The arguments for user, owner, documentation, callbacks and assets."""
    about = "\n\n".join(filter(None, (job.description, job.runbook)))
    found = [(key, literal(text)) for key, text in (("run_as_user", job.user), ("owner", job.owner), ("doc_md", about)) if text]
    for key, argument in (("on_failure", "on_failure_callback"), ("on_success", "on_success_callback")):
        command = getattr(job, key)
        if command is not None:
            file.imports.add(("subprocess", ""))
            found.append((argument, f"hook({lines_of(text_of(command), INDENT * 2)})"))
    if job.name in file.producers:
        file.imports.add(("airflow.sdk", "Asset"))
        found.append(("outlets", f"[Asset({literal(job.name)})]"))
    return found


def _env(job: Job, params: dict[str, str]) -> dict[str, str]:
    """The variables of a task: those of the job, and those of the run that its commands use."""
    found = {
        name: f"{{{{ params.{name} }}}}"
        if name in job.params and params.get(name) == job.params[name] == value
        else _jinja(value)
        for name, value in job.env.items()
    }
    found = {} if job.env_file and not job.params else found
    if mentions(job, "CRONFLOW_JOB"):
        found["CRONFLOW_JOB"] = job.name
    found.update({name: text for name, text in VARIABLES.items() if mentions(job, name)})
    moment = f'(dag_run.logical_date or dag_run.run_after).astimezone(macros.dateutil.tz.gettz("{job.timezone}"))'
    if mentions(job, "CRONFLOW_DATE"):
        found["CRONFLOW_DATE"] = f'{{{{ {moment}.strftime("%Y-%m-%d") }}}}'
    if mentions(job, "CRONFLOW_SCHEDULED_AT"):
        found["CRONFLOW_SCHEDULED_AT"] = f"{{{{ {moment}.replace(microsecond=0).isoformat() }}}}"
    return found


def _jinja(value: str) -> str:
    """A value escaped for Airflow, which takes braces for templates, and values that end with `.sh` for files."""
    if re.search(r"\{[{%#]", value) or value.endswith((".sh", ".bash")):
        return f"{{{{ {value!r} }}}}"
    return value


def _rendered(text: str, indent: str) -> str:
    """A command escaped for Airflow's templates, as a literal."""
    if re.search(r"\{[{%#]", text):
        inside = text.replace("{%", "{{ '{%' }}") if "endraw" in text else text
        text = f"{{% raw %}}{inside}{{% endraw %}}"
    return lines_of(f"{text} " if text.endswith((".sh", ".bash")) else text, indent)
