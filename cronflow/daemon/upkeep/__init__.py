"""What keeps the state folder well: signs of life, retention, integrity, recovery, disk, memory."""
