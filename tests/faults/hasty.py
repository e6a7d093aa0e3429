"""The daemon as `cronflow daemon` runs it, but the senders of its alerts have as many seconds as its one word says."""

from __future__ import annotations

import sys

from cronflow.alerts.sender import Sender
from tests.daemon.impatient import main

if __name__ == "__main__":
    assert Sender.__init__.__defaults__ is not None
    Sender.__init__.__defaults__ = (Sender.__init__.__defaults__[0], float(sys.argv[1]), 1.0)
    main(2.0, 60.0)
