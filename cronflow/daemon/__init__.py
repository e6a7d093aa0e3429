"""ACTS. The room with the loop.

`daemon.py` is the loop: it waits, asks every part what has happened, has the engine decide, saves, and lets the parts act. It
knows nothing of them but what `part.py` says; what else the daemon is to wait for (a listener, figures, another executor) is a
class with those five methods, and a line in `Daemon.parts`. Parts are in `clients/` (who asks for something), `processes/` (what
commands are started with, and by which keeper), `jobs/` (the job file), `upkeep/` (what keeps the state folder well) and in two
rooms of their own, `cronflow.alerts` and `cronflow.watch`, which import nothing from here.

Nothing here decides what runs (that is the core's), and nothing here contains SQL (that is the store's).
"""
