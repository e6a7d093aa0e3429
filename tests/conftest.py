"""The suite is the same however it is started: a shell that puts it into the background has it ignore SIGINT, which all the
programs under test would inherit."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
