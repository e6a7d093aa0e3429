"""ANSWERS questions about jobs and history, for whoever asks: a screen, a report, a page. It reads and changes nothing, draws
nothing, and knows neither a terminal nor a daemon: what a daemon says of itself, and what is to be masked, is handed in.

- `known`: which jobs to go by, and in which zone
- `live`: the live state for readers, of which the engine's own rules are asked
- `overview`: how everything stands now; `expected`: what is late or slow; `waits`: who waits for whom
- `upcoming`: the starts to come; `backfill_slots`: the slots of the past
- `reload_changes`: what a reload would change
- `evidence`, `explain`: why a job ran, did not run or waits, by what decides it: a slot (`explain_slot`), jobs of other flows
  (`explain_edges`), a task (`explain_task`) and its stages (`explain_stage`)
- `output`: what commands have printed
- `sentences`, `copies`: how all this is said, once for all; `json_form`: the same as the documented JSON
"""
