"""`cronflow schema`."""

from __future__ import annotations

import json

from cronflow.cli.invocation import Invocation


def schema(invocation: Invocation) -> None:
    """Print the JSON Schema of the job file, for editors.

    Put it beside the job file as `jobs.schema.json` and write `#:schema ./jobs.schema.json` at the top of the file.
    """
    from cronflow.jobfile.schema import schema as of_job_file

    invocation.out(json.dumps(of_job_file(), indent=2, ensure_ascii=False))
