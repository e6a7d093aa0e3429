"""TALKS: parses what was typed, calls, draws the answer. It decides nothing; a verb is a function in a module of its own.

Why imports are lazy. A command that only looks is to be there at once: it starts in less than nine times a bare Python, and most
of that is imports. So a module is imported where every command needs it, and otherwise inside the function that needs it:

- of the verbs only the one that was typed, of its screen only where it is drawn and not printed as JSON;
- `rich`, `croniter`, `psutil`, `filelock` and `apprise` never by a command that does without them;
- the live state (`core.state`, 8 ms) only where something waits for other flows, and in `why`;
- the readers of the job file only where the reading that the daemon and `check` keep (`jobfile.cache`) is not valid any more;
- `zoneinfo` (4 ms), `json`, `textwrap`, `difflib` where they are used.

For the same reason records that are only read are named tuples (a dataclass takes four times as long to define), and the garbage
collector is off until the verb begins (`main`). Names that only annotations need are imported under TYPE_CHECKING, never in both
directions between two files. `tests/costs` counts the modules of each command, so that none comes back unseen.
"""
