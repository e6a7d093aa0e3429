"""LOOKS: whether this machine and these jobs fit each other, asked of the machine itself. It changes nothing."""
