"""The installed program as a user runs it: a folder with a job file and a state of its own, the command, and its daemon."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.figures import Options

PATIENCE = 300.0
"""Seconds after which anything here counts as hung."""


class Took(NamedTuple):
    """Seconds from the start of a process to its end, and the most memory it had at a time, in bytes."""

    seconds: float
    memory: int


def timed(command: Sequence[str], env: dict[str, str], cwd: Path, out: IO[bytes] | int = subprocess.DEVNULL) -> Took:
    """Run a command to its end. One that fails is a RuntimeError with what it said."""
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=said)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            raise
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            words = " ".join(command)
            raise RuntimeError(f"`{words}` ended with {process.returncode}\n{said.read()[-3000:].decode(errors='replace')}")
    return Took(seconds, usage.ru_maxrss * 1024)


class House:
    """A folder with `jobs.toml` and `state`."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.file, self.state = folder / "jobs.toml", folder / "state"
        self.env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "CRONFLOW_FILE": str(self.file),
            "CRONFLOW_STATE": str(self.state),
        }
        self.daemon: subprocess.Popen[bytes] | None = None

    def call(self, *words: str) -> Took:
        """One command of the program."""
        return timed([self.program, *words], self.env, self.folder)

    def said(self, *words: str) -> str:
        """What a command of the program prints."""
        done = subprocess.run([self.program, *words], env=self.env, cwd=self.folder, capture_output=True, check=True)
        return done.stdout.decode()

    def bare(self, command: Sequence[str]) -> Took:
        """Another command, with the same environment in the same folder."""
        return timed(command, self.env, self.folder)

    # ---- the daemon ------------------------------------------------------------------------------------------------------

    def start(self, **env: str) -> float:
        """Start the daemon; seconds until it says that it is ready, as it says it to systemd (sd_notify(3))."""
        assert self.daemon is None
        address = f"@cronflow-benchmark-{os.getpid()}"  # an abstract one: a path may be too long for a socket (unix(7))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears, open(self.folder / "daemon.log", "ab") as log:
            ears.bind("\0" + address[1:])
            ears.settimeout(PATIENCE)
            begun = time.perf_counter()
            self.daemon = subprocess.Popen(
                [self.program, "daemon"],
                env={**self.env, "NOTIFY_SOCKET": address, **env},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            while b"READY=1" not in ears.recv(65536):
                pass
            return time.perf_counter() - begun

    def stop(self) -> None:
        """End the daemon and wait until its keeper is gone too."""
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(PATIENCE)
            self.daemon = None
        self._wait_for_keepers()

    def _wait_for_keepers(self) -> None:
        end = time.monotonic() + 5.0
        while (pids := self.keepers()) and time.monotonic() < end:
            time.sleep(0.02)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def keepers(self) -> list[int]:
        """The processes that hold the commands: both have the state folder in their command line."""
        mark, found = str(self.state), []
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0") if name.isdigit() else []
                if any(b"cronflow.keeper" in word for word in words) and any(word.startswith(mark.encode()) for word in words):
                    found.append(int(name))
        return found


@contextlib.contextmanager
def fresh_folder(options: Options) -> Iterator[Path]:
    """A folder that is removed at the end, on a file system that outlives a reboot unless `--folder` says otherwise.

    ext4 does not use an inode again for minutes after a file is deleted, and looks at each of these anew for every file that is
    created near them: where thousands of temporary files have just been deleted, that takes 800 µs instead of 20. So the folder
    is put elsewhere on the disk than its neighbours, as a state folder is that has been there for long (chattr(1), `T`)."""
    outer = Path(tempfile.mkdtemp(prefix="cronflow-benchmark-", dir=options.folder))
    try:
        _spread(outer)
        yield Path(tempfile.mkdtemp(dir=outer))  # its name decides on its place: another one each time
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _spread(folder: Path) -> None:
    """Have new folders in this one put apart from each other (FS_TOPDIR_FL of ioctl_iflags(2)), where the file system can."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        flags = bytearray(8)
        with contextlib.suppress(OSError):
            fcntl.ioctl(fd, _GETFLAGS, flags)
            fcntl.ioctl(fd, _SETFLAGS, struct.pack("q", struct.unpack("q", flags)[0] | _TOPDIR))
    finally:
        os.close(fd)


_GETFLAGS, _SETFLAGS, _TOPDIR = 0x80086601, 0x40086602, 0x20000


@contextlib.contextmanager
def house(options: Options, jobs: str | None = None) -> Iterator[House]:
    """A folder with a job file, and at the end nothing left of it and its daemon."""
    with fresh_folder(options) as folder:
        one = House(options.program, folder)
        try:
            if jobs is not None:
                one.file.write_text(jobs)
                one.file.chmod(0o644)
            yield one
        finally:
            one.stop()
