"""From attempts to processes: what a command is started with, by which keeper, and what it leaves."""
