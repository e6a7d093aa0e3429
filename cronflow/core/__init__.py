"""DECIDES. No clock, file, process, SQL, print or random number in it."""
