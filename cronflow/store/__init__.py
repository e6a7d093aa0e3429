"""REMEMBERS: the history and the live state, in one SQLite file with exactly one connection that writes."""
