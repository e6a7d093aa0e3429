"""TALKS: parses what was typed, calls, draws the answer. It decides nothing; a verb is a function in a module of its own."""
