"""The job file on the disk: read, watched, read again."""
