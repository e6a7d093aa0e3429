"""The tables, and how an older database becomes a newer one. `user_version` counts the entries of MIGRATIONS.

Instants are REAL epoch seconds, slots INTEGER epoch seconds; lists and tables are JSON text. `runs` also holds the rows of slots
that did not run (no tasks; `slot`…`slot_last`, `slots` of them). `run_slots` is the unique index of the law that a slot opens at
most one run. What a published program has written is never edited here, only added to.
"""

from __future__ import annotations

from pathlib import Path

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE definitions (
        digest TEXT PRIMARY KEY,
        flow   TEXT NOT NULL,
        body   TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        flow TEXT NOT NULL,
        trigger TEXT NOT NULL,
        trigger_key TEXT,
        roots TEXT NOT NULL DEFAULT '[]',
        named TEXT NOT NULL DEFAULT '[]',
        by TEXT,
        params TEXT NOT NULL DEFAULT '{}',
        upstreams TEXT NOT NULL DEFAULT '{}',
        retry_of INTEGER,
        definition TEXT NOT NULL,
        slot INTEGER,
        slot_last INTEGER,
        slots INTEGER NOT NULL DEFAULT 0,
        held INTEGER NOT NULL DEFAULT 0,
        aside INTEGER NOT NULL DEFAULT 0,
        only INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL,
        reason TEXT,
        note TEXT,
        created_at REAL NOT NULL,
        started_at REAL,
        finished_at REAL
    );
    CREATE INDEX runs_live ON runs (id) WHERE finished_at IS NULL;
    CREATE INDEX runs_flow ON runs (flow, id);
    CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;

    CREATE TABLE run_slots (
        root TEXT NOT NULL,
        trigger_key TEXT NOT NULL,
        slot INTEGER NOT NULL,
        run INTEGER NOT NULL,
        PRIMARY KEY (root, trigger_key, slot)
    ) WITHOUT ROWID;
    CREATE INDEX run_slots_run ON run_slots (run);

    CREATE TABLE tasks (
        run INTEGER NOT NULL,
        name TEXT NOT NULL,
        job TEXT NOT NULL,
        state TEXT NOT NULL,
        stage TEXT NOT NULL DEFAULT '',
        stage_at REAL,
        steps INTEGER NOT NULL DEFAULT 0,
        "check" INTEGER NOT NULL DEFAULT 0,
        verdict TEXT NOT NULL DEFAULT '[]',
        told TEXT NOT NULL DEFAULT '[]',
        reason TEXT,
        note TEXT,
        caused_by TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_attempt_at REAL,
        queued_at REAL,
        started_at REAL,
        finished_at REAL,
        matrix TEXT NOT NULL DEFAULT '{}',
        outputs TEXT NOT NULL DEFAULT '{}',
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    CREATE INDEX tasks_job ON tasks (job, run);

    CREATE TABLE attempts (
        run INTEGER NOT NULL,
        task TEXT NOT NULL,
        kind TEXT NOT NULL,
        n INTEGER NOT NULL,
        count INTEGER NOT NULL DEFAULT 1,
        state TEXT NOT NULL,
        result TEXT,
        reason TEXT,
        exit_code INTEGER,
        signal INTEGER,
        pid INTEGER,
        created_at REAL NOT NULL,
        started_at REAL,
        finished_at REAL,
        cpu_s REAL,
        max_rss_kb INTEGER,
        output_bytes INTEGER,
        left_behind TEXT NOT NULL DEFAULT '[]',
        stop TEXT,
        PRIMARY KEY (run, task, kind, n)
    ) WITHOUT ROWID;

    CREATE TABLE cursors (
        job TEXT NOT NULL,
        trigger_key TEXT NOT NULL,
        at REAL NOT NULL,
        lining INTEGER NOT NULL DEFAULT 0,
        row INTEGER,
        waits INTEGER,
        waits_until REAL,
        waits_as TEXT,
        waits_run INTEGER,
        mark TEXT,
        PRIMARY KEY (job, trigger_key)
    ) WITHOUT ROWID;

    CREATE TABLE links (
        job TEXT NOT NULL,
        upstream TEXT NOT NULL,
        new INTEGER NOT NULL DEFAULT 0,
        look INTEGER NOT NULL DEFAULT 0,
        state TEXT,
        failed INTEGER NOT NULL DEFAULT 0,
        run INTEGER,
        slot INTEGER,
        ended_at REAL,
        blocked INTEGER,
        PRIMARY KEY (job, upstream)
    ) WITHOUT ROWID;

    CREATE TABLE watched (
        trigger_key TEXT NOT NULL,
        path TEXT NOT NULL,
        stamp TEXT NOT NULL,
        PRIMARY KEY (trigger_key, path)
    ) WITHOUT ROWID;

    CREATE TABLE run_paths (
        run INTEGER PRIMARY KEY,
        paths TEXT NOT NULL
    );

    CREATE TABLE skips (
        job TEXT PRIMARY KEY,
        "left" INTEGER NOT NULL,
        since REAL NOT NULL,
        by TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE pauses (
        job TEXT PRIMARY KEY,
        since REAL NOT NULL,
        until REAL,
        by TEXT NOT NULL,
        reason TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;

    CREATE TABLE health (
        job TEXT PRIMARY KEY,
        failing_since REAL,
        failures INTEGER NOT NULL DEFAULT 0,
        last_success_at REAL,
        told_at REAL,
        durations TEXT NOT NULL DEFAULT '[]'
    ) WITHOUT ROWID;

    CREATE TABLE troubles (
        key TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        message TEXT NOT NULL,
        since REAL NOT NULL,
        told INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;

    CREATE TABLE acts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        by TEXT NOT NULL,
        verb TEXT NOT NULL,
        words TEXT NOT NULL,
        job TEXT,
        run INTEGER
    );

    CREATE TABLE alerts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        target TEXT NOT NULL,
        job TEXT,
        run INTEGER,
        task TEXT,
        facts TEXT NOT NULL DEFAULT '{}',
        tries INTEGER NOT NULL DEFAULT 0,
        next_try_at REAL,
        sent_at REAL,
        error TEXT
    );
    CREATE INDEX alerts_run ON alerts (run);
    CREATE INDEX alerts_unsent ON alerts (next_try_at) WHERE sent_at IS NULL;
    """,
    """
    CREATE INDEX runs_definition ON runs (definition);
    CREATE INDEX runs_retry ON runs (retry_of) WHERE retry_of IS NOT NULL;
    CREATE INDEX acts_run ON acts (run);
    """,
    """
    INSERT INTO runs (id, flow, trigger, trigger_key, roots, definition, slot, slot_last, slots, held, state, reason, created_at)
        SELECT max(waits_run), flow, waits_as, cursors.trigger_key, json_group_array(job), definition, waits, waits, 1, 2,
            'waiting', 'upstream', waits
        FROM cursors JOIN runs ON runs.id = (SELECT max(run) FROM run_slots WHERE root = job)
        WHERE waits IS NOT NULL GROUP BY flow, definition, waits, waits_as, cursors.trigger_key, at;
    INSERT INTO tasks (run, name, job, state)
        SELECT runs.id, json_extract(one.value, '$.name'), json_extract(one.value, '$.name'), 'waiting'
        FROM runs JOIN definitions ON digest = definition JOIN json_each(body) AS one WHERE held = 2;
    INSERT INTO run_slots (root, trigger_key, slot, run)
        SELECT one.value, trigger_key, slot, runs.id FROM runs JOIN json_each(roots) AS one WHERE held = 2;

    ALTER TABLE runs ADD COLUMN gate TEXT;
    ALTER TABLE runs ADD COLUMN gate_after INTEGER;
    ALTER TABLE runs ADD COLUMN gate_until REAL;
    UPDATE runs SET gate = 'overlap', gate_after = id WHERE held = 1;
    UPDATE runs SET gate = 'edges', gate_until = (
        SELECT waits_until FROM cursors
        WHERE cursors.trigger_key = runs.trigger_key AND waits = slot AND job IN (SELECT value FROM json_each(roots))
    ) WHERE held = 2;

    ALTER TABLE cursors RENAME TO old_cursors;
    CREATE TABLE cursors (
        job TEXT NOT NULL,
        trigger_key TEXT NOT NULL,
        at REAL NOT NULL,
        catching_up INTEGER NOT NULL DEFAULT 0,
        row INTEGER,
        mark TEXT,
        PRIMARY KEY (job, trigger_key)
    ) WITHOUT ROWID;
    INSERT INTO cursors (job, trigger_key, at, catching_up, row, mark)
        SELECT job, trigger_key, coalesce((SELECT runs.slot FROM runs JOIN run_slots ON run_slots.run = runs.id
            WHERE held = 2 AND root = job AND run_slots.trigger_key = old_cursors.trigger_key), at), lining, row, mark
        FROM old_cursors;
    DROP TABLE old_cursors;

    UPDATE runs SET held = 0;
    ALTER TABLE runs RENAME COLUMN held TO is_row;
    UPDATE runs SET is_row = 1 WHERE slots > 0 AND NOT EXISTS (SELECT 1 FROM tasks WHERE run = runs.id);
    """,
)


def newer(path: Path, version: int) -> str:
    """What is said of a database whose format is above ours."""
    return f"the database `{path}` was written by a newer cronflow (format {version}, this one knows {len(MIGRATIONS)})"
