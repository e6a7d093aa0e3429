"""Processes of a living installation are killed, stopped and hung, and then every command is accounted for."""
