"""Crontabs: read as cron reads them, and written as a job file (cronflow-jobs(5))."""
