"""The parent of every command: the loop of a keeper, and what it answers."""
from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Callable

from cronflow.linux import SIGNALFD_SIGINFO

from . import protocol, spawn, syscalls
from .attempt import NEVER, HeldAttempt, State
from .cgroup import Cgroups
from .ending import KILL_AGAIN, Trees
from .journal import Journal, JournalFullError, RecordTooLongError, read_mark
from .peers import Peers
from .protocol import Message
from .watching import Watcher

TURN = 32
"""Requests answered in one turn of the loop, so that ends and deadlines never wait long behind them."""
GRACE = 30.0
"""Seconds that a keeper waits for its first client."""
REMEMBERED = 4096


class Keeper:
    """Holds attempts: as the holder, which starts them, or as the guard that is the holder's heir."""

    def __init__(
        self, role: str, generation: int, journal: Journal, inherited: spawn.Inherited, cgroups: Cgroups | None
    ) -> None:
        self.role = role
        self.generation = generation
        self.journal = journal
        self.inherited = inherited
        self.draining: str | None = None
        self.live: dict[str, HeldAttempt] = {}
        self.ended: dict[str, HeldAttempt] = {}
        self.trees = Trees(cgroups)
        self.watcher = Watcher()
        self.epoll = select.epoll()
        self._acknowledged: dict[str, None] = {}
        self._until = time.monotonic() + GRACE
        self._guard = -1
        self._asked_to_leave = False
        self._fresh: list[HeldAttempt] = []
        self._ready: list[tuple[HeldAttempt, spawn.PreparedChild]] = []
        self._signals = spawn.signals()
        self.epoll.register(self._signals, select.EPOLLIN)
        if self.watcher.fd >= 0:
            self.epoll.register(self.watcher.fd, select.EPOLLIN)

    def watch_guard(self, end: int) -> None:
        """Drain once the guard is gone, the only one that can write into this pipe and never does."""
        self._guard = end
        self.epoll.register(end, select.EPOLLIN)

    def wait_for_client(self, seconds: float) -> None:
        """Stay at least this long, if only to answer."""
        self._until = time.monotonic() + seconds

    def run(self, peers: Peers) -> None:
        """Serve until nothing is held and nobody is connected."""
        self.peers = peers
        self.reap()
        while not self._done() or self.epoll.poll(0):  # who knocks at the last moment is let in
            self._turn()
        peers.drop_all()
        self.trees.close()

    def _turn(self) -> None:
        for fd, events in self.epoll.poll(self._patience()):
            if fd == self._signals:
                self._signalled()
            elif fd == self.watcher.fd:
                self.watcher.written(time.monotonic())
            elif fd == self._guard:
                self.epoll.unregister(fd)
                self.drain("guard")
            else:
                self.peers.happened(fd, events)
        self.peers.serve(TURN)
        self._start_ready()
        self.reap()
        self._run_timers()
        self._write_ticks()
        self.peers.flush()

    def _patience(self) -> float:
        if self.peers.waiting:
            return 0
        wake_at = min([attempt.wake_at for attempt in self.live.values()], default=NEVER)
        if not self.live and not self.peers:
            wake_at = self._until
        return -1 if wake_at == NEVER else max(0.0, wake_at - time.monotonic())

    def _done(self) -> bool:
        if self.live:
            return False
        if self._asked_to_leave or (self.draining is not None and not self.ended):
            return True
        return not self.peers and time.monotonic() >= self._until

    def _signalled(self) -> None:
        try:
            told = os.read(self._signals, 32 * SIGNALFD_SIGINFO)
        except BlockingIOError:
            return
        if any(told[start] != signal.SIGCHLD for start in range(0, len(told), SIGNALFD_SIGINFO)):
            self._asked_to_leave = not self.live

    def drain(self, why: str) -> None:
        """Start nothing more, and say so."""
        if self.draining is None:
            self.draining = why
            self.peers.tell({"type": "draining", "why": why})

    def _write_ticks(self) -> None:
        """Complete the marks of those that are still alive, before anybody is told that they have begun."""
        for attempt in self._fresh:
            if attempt.pid is not None and attempt.state is State.RUNNING:
                spawn.write_ticks(attempt.pid, self.journal.fd, self.journal.mark_at(attempt.page))
        self._fresh.clear()

    # --- what an heir takes over

    def resume(self, attempt: HeldAttempt) -> None:
        """Go on with an attempt whose main process is now our child, alive or ended."""
        self.live[attempt.id] = attempt
        self.trees.add(attempt)
        self.watcher.begin(attempt, time.monotonic())
        self.journal.write(attempt.page, attempt.record())
        if attempt.stopped is not None and not attempt.final:
            self.trees.ending(attempt).terminate()

    def resume_ending(self, attempt: HeldAttempt) -> None:
        """Go on to end a tree whose main process has ended and is reaped."""
        self.live[attempt.id] = attempt
        self.trees.remember(attempt)
        attempt.check_at = time.monotonic()

    def mark_lost(self, attempt: HeldAttempt) -> None:
        """Nobody knows how it ended; it is not said to have ended in any way."""
        attempt.state = State.ENDED
        attempt.ended_at = time.time()
        self.watcher.end(attempt)
        self.trees.forget(attempt)
        self.ended[attempt.id] = attempt
        self.journal.write(attempt.page, attempt.record())

    # --- requests

    def answer(self, message: Message) -> list[Message]:
        """What is said to a request, after what was asked for has started, but for one that asks for more: those are forked
        together. ProtocolError for one that makes no sense."""
        protocol.check(message)
        if message["type"] != "spawn":
            self._start_ready()
        return _ANSWERS[message["type"]](self, message)

    def _hello(self, message: Message) -> list[Message]:
        self._until = 0.0
        if message["generation"] > self.generation and self.draining is None:
            self.draining = "superseded"
        return [{
            "type": "hello", "version": protocol.VERSION, "pid": os.getpid(), "role": self.role,
            "generation": self.generation, "draining": self.draining is not None, "attempts": self._descriptions(),
        }]

    def _list(self, _message: Message) -> list[Message]:
        return [{"type": "list", "attempts": self._descriptions()}]

    def _descriptions(self) -> list[Message]:
        return [attempt.description() for held in (self.live, self.ended) for attempt in held.values()]

    def _spawn(self, request: Message) -> list[Message]:
        name: str = request["id"]
        known = self.live.get(name) or self.ended.get(name)
        if known is not None:
            self._start_ready()
            return [known.message()]
        if self.draining is not None or name in self._acknowledged:
            return [_refused(name, "draining" if self.draining is not None else "acknowledged")]
        attempt = HeldAttempt(request, time.time())
        attempt.begin(time.monotonic())
        place = self.trees.place(attempt)
        try:
            attempt.page = self.journal.claim(attempt.record())
            child = spawn.PreparedChild(request, self.inherited, self.journal.fd, self.journal.mark_at(attempt.page), place)
        except (JournalFullError, RecordTooLongError) as error:
            self.trees.forget(attempt)
            return [_refused(name, "journal" if isinstance(error, JournalFullError) else "length")]
        except spawn.StartError as error:
            attempt.fail(error.stage, error.errno or 0, time.time())
            self._report_end(attempt)
            return []
        self.live[name] = attempt
        self._ready.append((attempt, child))
        return []

    def _start_ready(self) -> None:
        """Start what is claimed: all forks first, then what is to be remembered of each."""
        ready, self._ready = self._ready, []
        results = [child.fork() for _, child in ready]
        for (attempt, child), result in zip(ready, results, strict=True):
            if isinstance(result, OSError) and child.cgroup is not None:
                self.trees.close()
                child.cgroup = None
                result = child.fork()
            child.close()
            if isinstance(result, OSError):
                attempt.fail("fork", result.errno or 0, time.time())
                self._report_end(attempt)
            else:
                self._begun(attempt, result)

    def _begun(self, attempt: HeldAttempt, pid: int) -> None:
        attempt.pid = pid
        attempt.state = State.RUNNING
        self.trees.add(attempt)
        self.watcher.begin(attempt, time.monotonic())
        self._fresh.append(attempt)
        self.peers.tell(attempt.message())

    def _stop(self, request: Message) -> list[Message]:
        attempt = self.live.get(request["id"])
        if attempt is None:
            known = self.ended.get(request["id"])
            return [known.message() if known is not None else _refused(request["id"], "unknown")]
        self._end(attempt, str(request.get("why") or "cancel")[:64], bool(request.get("now")))
        return []

    def _acknowledge(self, request: Message) -> list[Message]:
        name = request["id"]
        attempt = self.ended.pop(name, None)
        if attempt is not None:
            self.journal.free(attempt.page)
            self._acknowledged[name] = None
            if len(self._acknowledged) > REMEMBERED:
                del self._acknowledged[next(iter(self._acknowledged))]
        return []

    # --- deadlines

    def _run_timers(self) -> None:
        now = time.monotonic()
        for attempt in [attempt for attempt in self.live.values() if attempt.wake_at <= now]:
            if attempt.look_at <= now:
                self.watcher.look(attempt, now)
            if attempt.deadline <= now:
                attempt.deadline = NEVER
                self._end(attempt, "timeout", False)
            elif attempt.kill_at <= now or attempt.check_at <= now:
                self._check(attempt, now)

    def _end(self, attempt: HeldAttempt, why: str, at_once: bool) -> None:
        now = time.monotonic()
        first = attempt.stopped is None
        if not first and not at_once:
            return
        attempt.stopped = attempt.stopped or why
        attempt.deadline = NEVER
        attempt.kill_at = now if at_once else now + attempt.kill_after
        self.journal.write(attempt.page, attempt.record())
        ending = self.trees.ending(attempt)
        (ending.kill if at_once else ending.terminate)()

    def _check(self, attempt: HeldAttempt, now: float) -> None:
        if attempt.state is State.ENDING:
            if self.trees.gone(attempt, now):
                self._report_end(attempt)
        else:
            self.trees.ending(attempt).kill()
            attempt.kill_at = now + KILL_AGAIN

    # --- ends

    def reap(self) -> None:
        """Peek, record, reap: every child that has ended, an attempt's main process or an orphan."""
        while (ended := syscalls.peek()) is not None:
            pid, status = ended
            attempt = self.trees.mains.get(pid)
            if attempt is None:
                os.wait4(pid, 0)
                self.trees.reaped(pid)
                continue
            if attempt.status is None:
                self._record(attempt, status)
            used = os.wait4(pid, 0)[2]
            self.trees.reaped(pid)
            attempt.cpu_s = round(used.ru_utime + used.ru_stime, 6)
            attempt.max_rss_kb = used.ru_maxrss
            self._finish(attempt)

    def _record(self, attempt: HeldAttempt, status: int) -> None:
        mark = read_mark(self.journal.fd, attempt.page)
        if mark is None and os.WIFEXITED(status):  # a disk that fails: its child could not do its first act, nor any other
            attempt.fail("fork", errno.EIO, time.time())
        elif mark is not None and mark.failure is not None:
            attempt.fail(*mark.failure)
        else:
            attempt.status = status
            attempt.ended_at = time.time()
            attempt.state = State.ENDED if attempt.stopped is None else State.ENDING
        self.journal.write(attempt.page, attempt.record())

    def _finish(self, attempt: HeldAttempt) -> None:
        if attempt.state is State.ENDING:
            if not self.trees.gone(attempt, time.monotonic()):
                self.journal.write(attempt.page, attempt.record())
                return
        elif attempt.state is State.ENDED:
            attempt.left_behind = self.trees.left_behind(attempt)
        self._report_end(attempt)

    def _report_end(self, attempt: HeldAttempt) -> None:
        if attempt.state is State.ENDING:
            attempt.state = State.ENDED
        self.watcher.end(attempt)
        self.trees.forget(attempt)
        self.live.pop(attempt.id, None)
        self.ended[attempt.id] = attempt
        while True:
            try:
                self.journal.write(attempt.page, attempt.record())
                break
            except RecordTooLongError:
                del attempt.left_behind[len(attempt.left_behind) // 2:]
        self.peers.tell(attempt.message())


_ANSWERS: dict[str, Callable[[Keeper, Message], list[Message]]] = {
    "hello": Keeper._hello, "spawn": Keeper._spawn, "stop": Keeper._stop, "ack": Keeper._acknowledge, "list": Keeper._list,
}


def _refused(name: str, why: str) -> Message:
    return {"type": "refused", "id": name, "why": why}
