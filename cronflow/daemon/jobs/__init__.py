"""The job file on disk: read, watched, read again."""
