"""READS what a person wrote: a job file and what it includes become a JobSet, or every problem at once, each with its place."""
