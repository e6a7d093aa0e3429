"""What needs a mount of its own, in a mount namespace of its own (see secluded.py)."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cronflow.keeper import client

from .conftest import eventually


def in_seclusion(case: str, folder: Path) -> Any:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("only root may mount")
    if subprocess.run([unshare, "-m", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    script = Path(__file__).with_name("secluded.py")
    command = [unshare, "-m", "--propagation", "private", sys.executable, str(script), case, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    if "No such device" in done.stderr or "/dev/fuse" in done.stderr:
        pytest.skip("no such file system in this kernel")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_full_disk_costs_no_status(tmp_path: Path) -> None:
    seen = in_seclusion("full", tmp_path)
    assert seen["statuses"] == list(range(20))
    assert seen["refused"] == ["journal"]
    assert 0 < seen["ran"] < 64
    assert seen["after"] == "ended"
    assert seen["journal"] == ["after"]


def test_a_file_system_that_hangs_holds_up_only_its_own(tmp_path: Path) -> None:
    seen = in_seclusion("hung", tmp_path)
    free = {name: status for name, status in seen.items() if name.startswith("free")}
    assert free == {f"free{number}": 0 for number in range(20)}
    assert seen["cwd"] == seen["exec"] == signal.SIGKILL
    assert seen["timed"] in (signal.SIGTERM, signal.SIGKILL)
    eventually(lambda: client.living(str(tmp_path)) == [])
