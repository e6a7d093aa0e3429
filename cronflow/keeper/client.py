"""The daemon's door to its keepers: start one, talk to it, find those of earlier generations, read what a dead one knew.

A keeper has a folder for its journal, and a folder for its socket, which may be the same. Nothing here blocks but
`start_keeper`, for as long as a Python takes to start.
"""
from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress

from cronflow import wire
from cronflow.linux import python_words, without_own_variables
from cronflow.wire import LineSocket

from . import cgroup, journal, protocol
from .attempt import NEVER, HeldAttempt
from .protocol import Message

_KEEPER = "import sys; sys.path.append(sys.argv[1]); from cronflow.keeper.guard import main; main(sys.argv[2:])"
_LONGEST_ANSWER = 256 << 20
_PARCEL = 16384


class KeeperError(Exception):
    """A keeper could not be started, or cannot be reached; the text says why."""


class Connection(LineSocket):
    """A conversation with one keeper, for a selector: readable by `fileno()`, writable when `wants_write`.

    `closed` is true once the keeper has hung up: connect again, and if that fails, read its journal.
    """

    __slots__ = ("keeper",)

    def __init__(self, sock: socket.socket, keeper: int) -> None:
        super().__init__(sock, _LONGEST_ANSWER)
        self.keeper = keeper

    def send(self, message: Message) -> None:
        """Say something now, or as soon as the keeper reads; nothing when closed (`closed` tells)."""
        self.post(message)
        self.flush()

    def post(self, message: Message) -> bool:
        """Add a message to what is to be sent, since each message sent alone costs the keeper a turn. It goes with the next
        `flush`, or when there is enough of it. False for one that is longer than a keeper reads: it would hang up."""
        line = protocol.encode(message)
        if len(line) > protocol.MAX_LINE:
            return False
        if not self.closed:
            self.outgoing += line
            if len(self.outgoing) > _PARCEL:
                self.flush()
        return True

    def hello(self, generation: int) -> None:
        """Introduce a daemon; older daemons are fenced off before the answer comes."""
        self.send({"type": "hello", "version": protocol.VERSION, "generation": generation})

    def stop(self, attempt: str, why: str = "cancel", now: bool = False) -> None:
        """End the tree of an attempt."""
        self.send({"type": "stop", "id": attempt, "why": why, "now": now})

    def acknowledge(self, attempt: str) -> None:
        """Say that the end of an attempt is committed, with the next `flush`."""
        self.post({"type": "ack", "id": attempt})

    def receive(self, timeout: float = 0.0) -> list[Message]:
        """All messages that have come; waits up to `timeout` seconds for the first one. ProtocolError for what is not one."""
        found = [protocol.decode(line) for line in self.wait_for_lines(timeout)]
        if self.ended:
            self.close()
        return found


def start_keeper(folder: str, generation: int, sockets: str | None = None, cgroups: bool = True) -> Connection:
    """Start the keeper of this generation and say hello to it; its answer is the first message.

    `cgroups`: give each attempt one of its own, where that is permitted. The keeper is not our child when this
    returns. KeeperError with what it said if it could not start.
    """
    sockets = os.path.abspath(sockets or folder)
    arguments = [os.path.abspath(folder), sockets, str(generation), "cgroups" if cgroups else "none"]
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(
            sys.executable,
            python_words(_KEEPER, *arguments, options=("-S", "-X", "utf8")),
            without_own_variables(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, writer, 2),
            ],
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGCHLD),
        )
    except OSError as error:
        os.close(reader)
        raise KeeperError(f"no keeper: {sys.executable}: {error.strerror}") from error
    finally:
        os.close(writer)
    with open(reader, "rb") as complaint:
        said = complaint.read().decode("utf-8", "replace").strip()
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        status = len(said)  # somebody else in this process has reaped it
    if status:
        raise KeeperError(f"no keeper: {said.splitlines()[-1] if said else f'wait status {status}'}")
    connection = connect(folder, generation, generation, sockets)
    if connection is None:
        raise KeeperError("the keeper has gone at once")
    return connection


def connect(folder: str, keeper: int, generation: int, sockets: str | None = None) -> Connection | None:
    """A connection to the keeper of generation `keeper`, on which the daemon of `generation` has said hello.

    None if it cannot be reached: ask `living`, and read the journal of a dead one.
    """
    try:
        connection = Connection(wire.connect(sockets or folder, f"{keeper}.sock"), keeper)
    except OSError:
        return None
    connection.hello(generation)
    return connection


def generations(folder: str) -> list[int]:
    """The generations whose journals are there, alive or dead, in order."""
    names = [name.removesuffix(".journal") for name in os.listdir(folder) if name.endswith(".journal")]
    return sorted(int(name) for name in names if name.isdigit())


def alive(folder: str, generation: int) -> bool:
    """Whether the keeper of this generation lives, or a child of it that has yet to leave its name."""
    try:
        fd = os.open(_journal(folder, generation), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    with open(fd, "rb", buffering=0):
        return journal.locked(fd)


def living(folder: str) -> list[int]:
    """The generations of keepers that live, in order."""
    return [generation for generation in generations(folder) if alive(folder, generation)]


def read_journal(folder: str, generation: int) -> list[Message]:
    """What a dead keeper knew: its attempts as in `hello`, with `ticks` of the main process and `boot` beside, and what it
    would still have done: `kill_after`, `deadline` and `kill_at` (monotonic clock), and the folder of their `cgroup`.

    Final, like the answer to a hello: what is not in it was never started. `running` and `ending` are attempts
    whose process outlived the keeper, or whose end nobody has seen: `linux.Pidfd` and `tree.survivors` tell.
    FileNotFoundError if there is no such journal, KeeperError if its keeper lives or it cannot be read.
    """
    path = _journal(folder, generation)
    try:
        with open(path, "r+b", buffering=0) as file:
            if journal.locked(file.fileno()):
                raise KeeperError(f"`{path}`: its keeper lives")
            return _attempts(file.fileno())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeeperError(f"`{path}`: {error.strerror}") from error


def _attempts(fd: int) -> list[Message]:
    header = journal.read_page(fd, 0) or {}
    place = header.get("cgroups")
    found = []
    for page in range(1, os.fstat(fd).st_size // journal.PAGE):
        record = journal.read_page(fd, page)
        if record is None:
            continue
        mark = journal.read_mark(fd, page)
        attempt = HeldAttempt.of_record(record, page, mark)
        if mark is not None and mark.failure is not None and not attempt.final:
            attempt.fail(*mark.failure)
        if attempt.pid is None and not attempt.final:
            continue
        found.append({
            **attempt.description(),
            "boot": header.get("boot"),
            "kill_after": attempt.kill_after,
            "deadline": attempt.deadline if attempt.deadline != NEVER else None,
            "kill_at": attempt.kill_at if attempt.kill_at != NEVER else None,
            "cgroup": f"{place}/{attempt.cgroup}" if place and attempt.cgroup is not None else None,
            "ticks": mark.ticks if mark else None,
        })
    return found


def forget(folder: str, generation: int, sockets: str | None = None) -> None:
    """Remove what a dead keeper left, once all of it is committed."""
    with suppress(OSError), open(_journal(folder, generation), "rb", buffering=0) as file:
        place = (journal.read_page(file.fileno(), 0) or {}).get("cgroups")
        if place and os.path.basename(place).startswith(cgroup.PREFIX):
            cgroup.sweep(place)
    for path in (_journal(folder, generation), os.path.join(sockets or folder, f"{generation}.sock")):
        with suppress(FileNotFoundError):
            os.unlink(path)


def _journal(folder: str, generation: int) -> str:
    return os.path.join(folder, f"{generation}.journal")
