-- The database of a daemon of format 1, as `.dump` of sqlite3 tells it: a failed run, its retry, a run by hand, a pause, a skip.
BEGIN TRANSACTION;
CREATE TABLE acts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        by TEXT NOT NULL,
        verb TEXT NOT NULL,
        words TEXT NOT NULL,
        job TEXT,
        run INTEGER
    );
INSERT INTO "acts" VALUES(1,1.79528329219630932811e+09,'ada','run','cronflow run load','load',1);
INSERT INTO "acts" VALUES(2,1.79528329362907361987e+09,'ada','run','cronflow run side','side',2);
INSERT INTO "acts" VALUES(3,1.79528329390145254137e+09,'ada','retry','cronflow retry 1',NULL,3);
INSERT INTO "acts" VALUES(4,1.79528329511370301251e+09,'ada','pause','cronflow pause side --reason repairs','side',NULL);
INSERT INTO "acts" VALUES(5,1.79528329524431419375e+09,'ada','skip','cronflow skip mail','mail',NULL);
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
INSERT INTO "alerts" VALUES(1,1.79528329327873849871e+09,'failure','ops','report',1,'report','{"failing_since": 1795283293.2787385, "failures": 1, "last_success_at": null, "blocks": [], "reminder": false, "state_reason": "exit_code", "message": null, "finished_at": 1795283293.2775168}',1,1.79528332394361281399e+09,NULL,'json: connection refused');
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
INSERT INTO "attempts" VALUES(1,'load','command',1,1,'ended','success',NULL,0,NULL,15014,1.79528329219630932811e+09,1.79528329219926071173e+09,1.7952832922024965286e+09,0.001937,10828,0,'[]',NULL);
INSERT INTO "attempts" VALUES(1,'report','command',1,1,'ended','failed','exit_code',3,NULL,15015,1.79528329220387363436e+09,1.79528329220670175548e+09,1.79528329220957660675e+09,0.001851,10840,0,'[]',NULL);
INSERT INTO "attempts" VALUES(1,'report','command',2,1,'ended','failed','exit_code',3,NULL,15016,1.79528329327164268497e+09,1.79528329327351975444e+09,1.79528329327751684195e+09,0.002095,10856,0,'[]',NULL);
INSERT INTO "attempts" VALUES(2,'side','command',1,1,'ended','success',NULL,0,NULL,15020,1.79528329362907361987e+09,1.79528329363120150562e+09,1.7952832936370844841e+09,0.002377,10856,0,'[]',NULL);
INSERT INTO "attempts" VALUES(3,'report','command',1,1,'ended','failed','exit_code',3,NULL,15022,1.79528329390145254137e+09,1.7952832939033405781e+09,1.7952832939083516598e+09,0.002085,10856,0,'[]',NULL);
INSERT INTO "attempts" VALUES(3,'report','command',2,1,'ended','failed','exit_code',3,NULL,15025,1795283294.93924,1.79528329494127464292e+09,1.79528329494603514668e+09,0.002918,10844,0,'[]',NULL);
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
INSERT INTO "cursors" VALUES('load','cron 0 4 * * * Europe/Berlin',1.79528329201554512979e+09,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "cursors" VALUES('mail','cron 30 4 * * 1-5 Europe/Berlin',1.79528329201554512979e+09,0,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE definitions (
        digest TEXT PRIMARY KEY,
        flow   TEXT NOT NULL,
        body   TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "definitions" VALUES('a3773769d1a5d6ac','side','[{"command":"true","name":"side","timezone":"Europe/Berlin"}]');
INSERT INTO "definitions" VALUES('f503f05030e88f79','load','[{"command":"echo rows=3 >> \"$CRONFLOW_OUTPUT\"","name":"load","schedule":["0 4 * * *"],"timezone":"Europe/Berlin"},{"after":[["load","success"]],"command":"exit 3","name":"report","retries":1,"retry_delay":1.0,"timezone":"Europe/Berlin"}]');
CREATE TABLE health (
        job TEXT PRIMARY KEY,
        failing_since REAL,
        failures INTEGER NOT NULL DEFAULT 0,
        last_success_at REAL,
        told_at REAL,
        durations TEXT NOT NULL DEFAULT '[]'
    ) WITHOUT ROWID;
INSERT INTO "health" VALUES('load',NULL,0,1.79528329220387363436e+09,NULL,'[0.0032358169555664062]');
INSERT INTO "health" VALUES('report',1.79528329327873849871e+09,2,NULL,1.79528329327873849871e+09,'[]');
INSERT INTO "health" VALUES('side',NULL,0,1.79528329363759350779e+09,NULL,'[0.005882978439331055]');
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
INSERT INTO "links" VALUES('mail','load',1,0,'success',0,1,NULL,1.7952832922024965286e+09,NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('boot','f3c02462-56fe-4301-9c5f-1c519fde5a43');
INSERT INTO "meta" VALUES('file','/srv/cron/jobs.toml');
INSERT INTO "meta" VALUES('generation','1');
INSERT INTO "meta" VALUES('host','cron.example.org');
INSERT INTO "meta" VALUES('id','80ef33d9e052');
INSERT INTO "meta" VALUES('pid','15009');
INSERT INTO "meta" VALUES('since','1795283291.959321');
INSERT INTO "meta" VALUES('version','0.1.0');
CREATE TABLE pauses (
        job TEXT PRIMARY KEY,
        since REAL NOT NULL,
        until REAL,
        by TEXT NOT NULL,
        reason TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
INSERT INTO "pauses" VALUES('side',1.79528329511370301251e+09,NULL,'ada','repairs');
CREATE TABLE run_paths (
        run INTEGER PRIMARY KEY,
        paths TEXT NOT NULL
    );
CREATE TABLE run_slots (
        root TEXT NOT NULL,
        trigger_key TEXT NOT NULL,
        slot INTEGER NOT NULL,
        run INTEGER NOT NULL,
        PRIMARY KEY (root, trigger_key, slot)
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
INSERT INTO "runs" VALUES(1,'load','manual',NULL,'[]','["load"]','ada','{}','{}',NULL,'f503f05030e88f79',NULL,NULL,0,0,0,0,'failed','exit_code',NULL,1.79528329219630932811e+09,1.79528329219630932811e+09,1.79528329327751684195e+09);
INSERT INTO "runs" VALUES(2,'side','manual',NULL,'[]','["side"]','ada','{}','{}',NULL,'a3773769d1a5d6ac',NULL,NULL,0,0,0,0,'success',NULL,NULL,1.79528329362907361987e+09,1.79528329362907361987e+09,1.7952832936370844841e+09);
INSERT INTO "runs" VALUES(3,'load','retry',NULL,'[]','["report"]','ada','{}','{}',1,'f503f05030e88f79',NULL,NULL,0,0,0,0,'failed','exit_code',NULL,1.79528329390145254137e+09,1.79528329390145254137e+09,1.79528329494603514668e+09);
CREATE TABLE skips (
        job TEXT PRIMARY KEY,
        "left" INTEGER NOT NULL,
        since REAL NOT NULL,
        by TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "skips" VALUES('mail',1,1.79528329524431419375e+09,'ada');
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
INSERT INTO "tasks" VALUES(1,'load','load','success','command',1.79528329219630932811e+09,0,0,'[]','[]',NULL,NULL,NULL,1,NULL,NULL,1.79528329219630932811e+09,1.7952832922024965286e+09,'{}','{"rows":"3"}');
INSERT INTO "tasks" VALUES(1,'report','report','failed','command',1.79528329220387363436e+09,0,0,'[]','[]','exit_code',NULL,NULL,2,NULL,NULL,1.79528329220387363436e+09,1.79528329327751684195e+09,'{}','{}');
INSERT INTO "tasks" VALUES(2,'side','side','success','command',1.79528329362907361987e+09,0,0,'[]','[]',NULL,NULL,NULL,1,NULL,NULL,1.79528329362907361987e+09,1.7952832936370844841e+09,'{}','{}');
INSERT INTO "tasks" VALUES(3,'load','load','success','',NULL,0,0,'[]','[]','taken_over',NULL,NULL,0,NULL,NULL,NULL,1.79528329390145254137e+09,'{}','{"rows":"3"}');
INSERT INTO "tasks" VALUES(3,'report','report','failed','command',1.79528329390145254137e+09,0,0,'[]','[]','exit_code',NULL,NULL,2,NULL,NULL,1.79528329390145254137e+09,1.79528329494603514668e+09,'{}','{}');
CREATE TABLE troubles (
        key TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        message TEXT NOT NULL,
        since REAL NOT NULL,
        told INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
CREATE TABLE watched (
        trigger_key TEXT NOT NULL,
        path TEXT NOT NULL,
        stamp TEXT NOT NULL,
        PRIMARY KEY (trigger_key, path)
    ) WITHOUT ROWID;
CREATE INDEX runs_live ON runs (id) WHERE finished_at IS NULL;
CREATE INDEX runs_flow ON runs (flow, id);
CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX run_slots_run ON run_slots (run);
CREATE INDEX tasks_job ON tasks (job, run);
CREATE INDEX alerts_run ON alerts (run);
CREATE INDEX alerts_unsent ON alerts (next_try_at) WHERE sent_at IS NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',3);
INSERT INTO "sqlite_sequence" VALUES('acts',5);
INSERT INTO "sqlite_sequence" VALUES('alerts',1);
COMMIT;