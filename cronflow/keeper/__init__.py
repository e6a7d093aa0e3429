"""Holds the processes of attempts, so that a crash of the daemon loses nothing.

Standard library only; knows attempts by an opaque id and nothing of jobs, flows or SQL.
`client` is the door for the daemon; `protocol` names the messages; `holder` explains why no status is lost.
"""
