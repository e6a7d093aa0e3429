"""Holds the processes of attempts, so that a crash of the daemon loses nothing.

Standard library only; knows attempts by an opaque id and nothing of jobs, flows or SQL.
`client` is the daemon's side; `protocol` names the messages; `guard` is where a keeper begins, `holder` its loop.

Why no status is lost
---------------------

*Peek, record, reap.* When a child has ended, waitid(2) with WNOWAIT shows its status and leaves the zombie where it is.
The status is written into the journal. Only then the child is reaped, which also tells what it has used, and that
goes into the same record. A holder that is killed before the record leaves a zombie, and zombies are inherited like
living children: the guard is a subreaper, finds it, and peeks for itself. A holder that is killed after the record
leaves the record. There is no instant at which neither exists; only cpu and memory can be missing.

*The claim comes before the process.* A command that runs is always in the journal, since its page is written before the
fork. What is in the journal need not run: the holder may have been killed before the fork, or the child before its
first act. That act is to write its pid into the page, before it lets go of the lock and long before exec. An heir
thus knows three cases apart. With a mark there was a process, and this is its pid. Without a mark, a child that is
still in the keeper's own session has not yet come to write it, and the heir waits, a moment only, since nothing before
the mark can block. Without a mark and without such a child no command was ever started, and the claim is dropped:
the daemon, told nothing about it, starts the attempt anew, and it runs once.

*Told until acknowledged.* An end stays in its page until the daemon says that it has committed it; a daemon that comes later
is told again at its hello, or reads it from the journal when the keeper is no more. The lock on the journal belongs to
holder and guard together and to every child that has not yet marked its page. Whoever gets the lock knows that nothing
can be started any more and that every process is marked: the journal is final.

Why there are two processes, and what else a keeper promises, is in docs/architecture.md, "The keeper".
"""
