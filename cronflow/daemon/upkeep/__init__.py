"""What keeps the state folder well: retention, integrity, recovery, disk, memory."""
