"""TELLS people: from rows of the outbox to messages that have arrived. `outbox` is when an alert leaves, `compose`, `text`,
`expected`, `parts` and `layout` what it says, `sender` and `worker` who sends it."""
