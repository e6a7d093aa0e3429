"""What somebody with no rights meets."""

from __future__ import annotations

import os
from collections.abc import Callable

from cronflow.errors import CronflowError

NOBODY = 65534


def exit_status_of(act: Callable[[], object]) -> int:
    """The exit status of the CronflowError that an act ends in when nobody(65534) tries it; 99 for any other end. For root."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            act()
        except CronflowError as error:
            status = error.exit_status
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
