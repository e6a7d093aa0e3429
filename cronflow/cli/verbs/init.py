"""`cronflow init`."""

from __future__ import annotations

import os

from cronflow.cli.invocation import Invocation
from cronflow.cli.writing import create, failed
from cronflow.errors import CronflowError

EXAMPLE = '''\
# The job file of cronflow. Every key is in cronflow-jobs(5); `cronflow check` tells what is wrong.
# A daemon that runs reads it again by itself, 2 seconds after you have saved it.
#
# An editor that knows JSON Schema helps you write it: `cronflow schema > jobs.schema.json` here, and
# as the first line of this file:  #:schema ./jobs.schema.json

# timezone = "Europe/Berlin"          # default: the zone of this machine

[defaults]                            # any key of a job; a job overrides it
timeout = "1h"                        # per attempt; then all of its processes are ended

# Alerts go wherever Apprise can send: mail, Slack and a hundred others. `cronflow alerts test` tries.
# [alerts.ops]
# urls = "mailto://localhost?from=cronflow@example.org&to=you@example.org"
# url_file = "ops.url"                # or a file with the URL, where a password is in it

[jobs.disk-space]                     # by hand: `cronflow run disk-space`
description = "How full the disk is"
schedule = "0 7 * * mon-fri"          # as in a crontab: minute, hour, day, month, weekday
command = "df -h /"                   # given to /bin/sh; nothing in it means anything to cronflow

[jobs.summary]
after = ["disk-space"]                # in the same run, once that has succeeded
retries = 2                           # two more attempts, with a growing delay
command = \'\'\'
set -eu
echo "run $CRONFLOW_RUN_ID looked at the disk on $CRONFLOW_DATE"
\'\'\'
'''


def init(invocation: Invocation) -> None:
    """Write a small job file with comments, to begin with. It never overwrites one.

    It is written where `--file`, CRONFLOW_FILE or the default says; its folders are made.
    """
    path = invocation.places.file
    taken, elsewhere = "edit it, or name another one with `--file`", "name another file with `--file`"
    if os.path.lexists(path):
        raise CronflowError(f"`{path}` is there already", taken)
    try:
        os.makedirs(path.parent, mode=0o755, exist_ok=True)
    except FileExistsError as error:
        raise CronflowError(f"`{error.filename}` is there already", taken) from None
    except OSError as error:
        raise failed(error, "made", elsewhere) from None
    create(str(path), EXAMPLE, taken, elsewhere)
    if invocation.json:
        invocation.print_json({"file": str(path)})
        return
    invocation.out(f"wrote {path}")
    service = "cronflow service install" + (" --user" if os.geteuid() else "")
    invocation.warn(f"next: edit it; `cronflow check`; `cronflow run disk-space`; `{service}`")
