"""The daemon as `cronflow daemon` runs it, on a machine where a folder called `hung` does not answer while a file `silent` lies
beside it. A look that takes longer than the seconds that it is called with is told."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from cronflow.watch import filewatches
from tests.daemon.impatient import main

_scandir = os.scandir


def _slow(path: Any) -> Any:
    while os.path.basename(path) == "hung" and os.path.exists(os.path.join(os.path.dirname(path), "silent")):
        time.sleep(0.02)
    return _scandir(path)


if __name__ == "__main__":
    os.scandir = _slow
    filewatches.HUNG = float(sys.argv[1])
    main(2.0, 60.0)
