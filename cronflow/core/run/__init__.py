"""What a run consists of, and how its tasks go on their way."""
