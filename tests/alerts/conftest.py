"""Services on loopback: a web server that can be told how to answer, and a mail server. Both keep what arrived."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class WebService:
    """`answer` is a status code, or "hang" (never answers), or "drip" (a byte of the body now and then, for ever)."""

    def __init__(self) -> None:
        self.answer: int | str = 200
        self.arrived: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.closing = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.paths.append(self.path)
                service.arrived.append(json.loads(body))
                service.respond(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        if self.answer == "hang":
            self.closing.wait(60)
            return
        status = 200 if self.answer == "drip" else int(self.answer)
        dripping = self.answer == "drip"
        body = b"ok"
        handler.send_response(status)
        handler.send_header("Content-Length", "10000" if dripping else str(len(body)))
        handler.end_headers()
        if not dripping:
            handler.wfile.write(body)
            return
        while not self.closing.wait(0.1):
            try:
                handler.wfile.write(b".")
            except OSError:
                return

    def url(self, path: str = "/hook", query: str = "") -> str:
        return f"json://127.0.0.1:{self.port}{path}{query}"

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


class MailService:
    """An SMTP server; `refuse` is what it answers to DATA instead of taking the mail."""

    def __init__(self) -> None:
        from aiosmtpd.smtp import SMTP, Envelope

        self.mails: list[EmailMessage] = []
        self.refuse = ""
        service = self

        class Handler:
            async def handle_DATA(  # noqa: N802 (the name is aiosmtpd's)
                self, _server: object, _session: object, envelope: Envelope
            ) -> str:
                if service.refuse:
                    return service.refuse
                content = envelope.content
                assert isinstance(content, bytes)
                service.mails.append(email.message_from_bytes(content, policy=email.policy.default))  # type: ignore[arg-type]  # the policy makes it an EmailMessage
                return "250 taken"

        self.loop = asyncio.new_event_loop()
        listening = self.loop.create_server(lambda: SMTP(Handler(), hostname="test"), "127.0.0.1", 0)
        self.server = self.loop.run_until_complete(listening)
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=cronflow@example.org&to=ops@example.org"

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


@pytest.fixture
def web() -> Iterator[WebService]:
    service = WebService()
    yield service
    service.close()


@pytest.fixture
def second_web() -> Iterator[WebService]:
    service = WebService()
    yield service
    service.close()


@pytest.fixture
def mail() -> Iterator[MailService]:
    service = MailService()
    yield service
    service.close()


@pytest.fixture
def refused_port() -> Iterator[int]:
    """A port at which nobody listens: bound, so that nobody else takes it meanwhile."""
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class Waiter:
    """The part of the daemon's loop that drives an outbox."""

    def __init__(self) -> None:
        import selectors

        self.selectors = selectors

    def __call__(self, outbox: Any, number: int = 1, seconds: float = 60.0) -> dict[int, Any]:
        """The first `number` results, by alert."""
        end = time.monotonic() + seconds
        sent: dict[int, Any] = {}
        while len(sent) < number:
            now = time.monotonic()
            assert now < end, f"{len(sent)} of {number} alerts have ended after {seconds} s"
            deadline = outbox.deadline()
            with self.selectors.DefaultSelector() as selector:
                for fd in outbox.fds():
                    selector.register(fd, self.selectors.EVENT_READ)
                selector.select(max(0.0, min(deadline if deadline is not None else end, end) - now))
            for one in outbox.collect(time.monotonic()):
                assert one.alert_id not in sent
                sent[one.alert_id] = one
        return sent


@pytest.fixture
def wait() -> Waiter:
    return Waiter()
