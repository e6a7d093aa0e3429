"""Who asks the daemon for something, and what they are answered."""
