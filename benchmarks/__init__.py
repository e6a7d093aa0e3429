"""How fast cronflow is on this machine: `python -m benchmarks`. Each row of the table has a file of its own, or shares one with
its like; `figures` has the nouns, `program` starts and calls the installed program, `report` writes the table."""
