-- Rows of a program of format 2: `bills` of the second day waits for `load`, a run of `hourly` waits for the one before it.
INSERT INTO attempts (run, task, kind, n, count, state, result, reason, exit_code, signal, pid, created_at, started_at, finished_at, cpu_s, max_rss_kb, output_bytes, left_behind, stop) VALUES
    (1, 'hourly', 'command', 1, 1, 'ended', 'success', NULL, 0, NULL, NULL, 1793073600.0, NULL, 1793073600.0, NULL, NULL, NULL, '[]', NULL),
    (2, 'load', 'command', 1, 1, 'ended', 'success', NULL, 0, NULL, NULL, 1793073600.0, NULL, 1793073600.0, NULL, NULL, NULL, '[]', NULL),
    (3, 'flaky', 'command', 1, 1, 'ended', 'success', NULL, 0, NULL, NULL, 1793073960.0, NULL, 1793073960.0, NULL, NULL, NULL, '[]', NULL),
    (4, 'hourly', 'command', 1, 1, 'ended', 'success', NULL, 0, NULL, NULL, 1793077200.0, NULL, 1793077200.0, NULL, NULL, NULL, '[]', NULL),
    (5, 'bills', 'command', 1, 1, 'ended', 'success', NULL, 0, NULL, NULL, 1793080800.0, NULL, 1793080800.0, NULL, NULL, NULL, '[]', NULL),
    (5, 'mail', 'command', 1, 1, 'ended', 'success', NULL, 0, NULL, NULL, 1793080800.0, NULL, 1793080800.0, NULL, NULL, NULL, '[]', NULL),
    (6, 'hourly', 'command', 1, 1, 'ended', 'success', NULL, 0, NULL, NULL, 1793080800.0, NULL, 1793080800.0, NULL, NULL, NULL, '[]', NULL),
    (7, 'hourly', 'command', 1, 1, 'starting', NULL, NULL, NULL, NULL, NULL, 1793160000.0, NULL, NULL, NULL, NULL, NULL, '[]', NULL),
    (8, 'load', 'command', 1, 1, 'starting', NULL, NULL, NULL, NULL, NULL, 1793160000.0, NULL, NULL, NULL, NULL, NULL, '[]', NULL),
    (9, 'flaky', 'command', 1, 1, 'ended', 'failed', 'exit_code', 1, NULL, NULL, 1793160360.0, NULL, 1793160360.0, NULL, NULL, NULL, '[]', NULL);
INSERT INTO cursors (job, trigger_key, at, lining, row, waits, waits_until, waits_as, waits_run, mark) VALUES
    ('bills', 'cron 0 6 * * * UTC', 1793080800.0, 0, NULL, 1793167200, 1793185200.0, 'schedule', NULL, NULL),
    ('flaky', 'cron 5 4 * * * UTC', 1793160360.0, 0, NULL, NULL, NULL, NULL, NULL, NULL),
    ('hourly', 'cron 0 4-6 * * * UTC', 1793167200.0, 0, NULL, NULL, NULL, NULL, NULL, NULL),
    ('load', 'cron 0 4 * * * UTC', 1793160000.0, 0, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO definitions (digest, flow, body) VALUES
    ('1ba650b44b371244', 'load', '[{"command":"true","name":"load","schedule":["0 4 * * *"]}]'),
    ('1eb484a50f709ecc', 'flaky', '[{"command":"true","name":"flaky","retries":1,"retry_delay":10800.0,"retry_max_delay":10800.0,"schedule":["5 4 * * *"]}]'),
    ('256106e3b55cca2b', 'hourly', '[{"command":"true","name":"hourly","overlap":"queue","schedule":["0 4-6 * * *"]}]'),
    ('c54ca35635548b63', 'bills', '[{"after":[["load","success"]],"after_timeout":18000.0,"command":"true","name":"bills","schedule":["0 6 * * *"]},{"after":[["bills","success"]],"command":"true","name":"mail"}]');
INSERT INTO health (job, failing_since, failures, last_success_at, told_at, durations) VALUES
    ('bills', NULL, 0, 1793080800.0, NULL, '[]'),
    ('flaky', NULL, 0, 1793073960.0, NULL, '[]'),
    ('hourly', NULL, 0, 1793080800.0, NULL, '[]'),
    ('load', NULL, 0, 1793073600.0, NULL, '[]'),
    ('mail', NULL, 0, 1793080800.0, NULL, '[]');
INSERT INTO links (job, upstream, new, look, state, failed, run, slot, ended_at, blocked) VALUES
    ('bills', 'load', 0, 0, 'success', 0, 2, 1793073600, 1793073600.0, NULL);
INSERT INTO run_slots (root, trigger_key, slot, run) VALUES
    ('hourly', 'cron 0 4-6 * * * UTC', 1793073600, 1),
    ('load', 'cron 0 4 * * * UTC', 1793073600, 2),
    ('flaky', 'cron 5 4 * * * UTC', 1793073900, 3),
    ('hourly', 'cron 0 4-6 * * * UTC', 1793077200, 4),
    ('bills', 'cron 0 6 * * * UTC', 1793080800, 5),
    ('hourly', 'cron 0 4-6 * * * UTC', 1793080800, 6),
    ('hourly', 'cron 0 4-6 * * * UTC', 1793160000, 7),
    ('load', 'cron 0 4 * * * UTC', 1793160000, 8),
    ('flaky', 'cron 5 4 * * * UTC', 1793160300, 9),
    ('hourly', 'cron 0 4-6 * * * UTC', 1793163600, 10),
    ('hourly', 'cron 0 4-6 * * * UTC', 1793167200, 11);
INSERT INTO runs (id, flow, trigger, trigger_key, roots, named, by, params, upstreams, retry_of, definition, slot, slot_last, slots, held, aside, only, state, reason, note, created_at, started_at, finished_at) VALUES
    (1, 'hourly', 'schedule', 'cron 0 4-6 * * * UTC', '["hourly"]', '[]', NULL, '{}', '{}', NULL, '256106e3b55cca2b', 1793073600, 1793073600, 1, 0, 0, 0, 'success', NULL, NULL, 1793073600.0, 1793073600.0, 1793073600.0),
    (2, 'load', 'schedule', 'cron 0 4 * * * UTC', '["load"]', '[]', NULL, '{}', '{}', NULL, '1ba650b44b371244', 1793073600, 1793073600, 1, 0, 0, 0, 'success', NULL, NULL, 1793073600.0, 1793073600.0, 1793073600.0),
    (3, 'flaky', 'catchup', 'cron 5 4 * * * UTC', '["flaky"]', '[]', NULL, '{}', '{}', NULL, '1eb484a50f709ecc', 1793073900, 1793073900, 1, 0, 0, 0, 'success', NULL, NULL, 1793073960.0, 1793073960.0, 1793073960.0),
    (4, 'hourly', 'schedule', 'cron 0 4-6 * * * UTC', '["hourly"]', '[]', NULL, '{}', '{}', NULL, '256106e3b55cca2b', 1793077200, 1793077200, 1, 0, 0, 0, 'success', NULL, NULL, 1793077200.0, 1793077200.0, 1793077200.0),
    (5, 'bills', 'schedule', 'cron 0 6 * * * UTC', '["bills"]', '[]', NULL, '{}', '{"load":2}', NULL, 'c54ca35635548b63', 1793080800, 1793080800, 1, 0, 0, 0, 'success', NULL, NULL, 1793080800.0, 1793080800.0, 1793080800.0),
    (6, 'hourly', 'schedule', 'cron 0 4-6 * * * UTC', '["hourly"]', '[]', NULL, '{}', '{}', NULL, '256106e3b55cca2b', 1793080800, 1793080800, 1, 0, 0, 0, 'success', NULL, NULL, 1793080800.0, 1793080800.0, 1793080800.0),
    (7, 'hourly', 'schedule', 'cron 0 4-6 * * * UTC', '["hourly"]', '[]', NULL, '{}', '{}', NULL, '256106e3b55cca2b', 1793160000, 1793160000, 1, 0, 0, 0, 'running', NULL, NULL, 1793160000.0, 1793160000.0, NULL),
    (8, 'load', 'schedule', 'cron 0 4 * * * UTC', '["load"]', '[]', NULL, '{}', '{}', NULL, '1ba650b44b371244', 1793160000, 1793160000, 1, 0, 0, 0, 'running', NULL, NULL, 1793160000.0, 1793160000.0, NULL),
    (9, 'flaky', 'catchup', 'cron 5 4 * * * UTC', '["flaky"]', '[]', NULL, '{}', '{}', NULL, '1eb484a50f709ecc', 1793160300, 1793160300, 1, 0, 0, 0, 'running', NULL, NULL, 1793160360.0, 1793160360.0, NULL),
    (10, 'hourly', 'schedule', 'cron 0 4-6 * * * UTC', '["hourly"]', '[]', NULL, '{}', '{}', NULL, '256106e3b55cca2b', 1793163600, 1793163600, 1, 1, 0, 0, 'waiting', 'overlap', NULL, 1793163600.0, NULL, NULL),
    (11, 'hourly', 'schedule', 'cron 0 4-6 * * * UTC', '["hourly"]', '[]', NULL, '{}', '{}', NULL, '256106e3b55cca2b', 1793167200, 1793167200, 1, 1, 0, 0, 'waiting', 'overlap', NULL, 1793167200.0, NULL, NULL);
INSERT INTO tasks (run, name, job, state, stage, stage_at, steps, "check", verdict, told, reason, note, caused_by, attempts, next_attempt_at, queued_at, started_at, finished_at, matrix, outputs) VALUES
    (1, 'hourly', 'hourly', 'success', 'command', 1793073600.0, 0, 0, '[]', '[]', NULL, NULL, NULL, 1, NULL, NULL, 1793073600.0, 1793073600.0, '{}', '{}'),
    (2, 'load', 'load', 'success', 'command', 1793073600.0, 0, 0, '[]', '[]', NULL, NULL, NULL, 1, NULL, NULL, 1793073600.0, 1793073600.0, '{}', '{}'),
    (3, 'flaky', 'flaky', 'success', 'command', 1793073960.0, 0, 0, '[]', '[]', NULL, NULL, NULL, 1, NULL, NULL, 1793073960.0, 1793073960.0, '{}', '{}'),
    (4, 'hourly', 'hourly', 'success', 'command', 1793077200.0, 0, 0, '[]', '[]', NULL, NULL, NULL, 1, NULL, NULL, 1793077200.0, 1793077200.0, '{}', '{}'),
    (5, 'bills', 'bills', 'success', 'command', 1793080800.0, 0, 0, '[]', '[]', NULL, NULL, NULL, 1, NULL, NULL, 1793080800.0, 1793080800.0, '{}', '{}'),
    (5, 'mail', 'mail', 'success', 'command', 1793080800.0, 0, 0, '[]', '[]', NULL, NULL, NULL, 1, NULL, NULL, 1793080800.0, 1793080800.0, '{}', '{}'),
    (6, 'hourly', 'hourly', 'success', 'command', 1793080800.0, 0, 0, '[]', '[]', NULL, NULL, NULL, 1, NULL, NULL, 1793080800.0, 1793080800.0, '{}', '{}'),
    (7, 'hourly', 'hourly', 'running', 'command', 1793160000.0, 0, 0, '[]', '[]', NULL, NULL, NULL, 1, NULL, NULL, 1793160000.0, NULL, '{}', '{}'),
    (8, 'load', 'load', 'running', 'command', 1793160000.0, 0, 0, '[]', '[]', NULL, NULL, NULL, 1, NULL, NULL, 1793160000.0, NULL, '{}', '{}'),
    (9, 'flaky', 'flaky', 'retrying', 'command', 1793160360.0, 0, 0, '[]', '[]', 'exit_code', NULL, NULL, 1, 1793170521.9369948, NULL, 1793160360.0, NULL, '{}', '{}'),
    (10, 'hourly', 'hourly', 'queued', '', NULL, 0, 0, '[]', '[]', 'overlap', NULL, NULL, 0, NULL, NULL, NULL, NULL, '{}', '{}'),
    (11, 'hourly', 'hourly', 'queued', '', NULL, 0, 0, '[]', '[]', 'overlap', NULL, NULL, 0, NULL, NULL, NULL, NULL, '{}', '{}');
