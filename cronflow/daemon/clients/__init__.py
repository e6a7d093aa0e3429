"""Who asks the daemon for something, and what is answered."""
