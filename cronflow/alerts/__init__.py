"""TELLS people: from the outbox to messages that have arrived."""
