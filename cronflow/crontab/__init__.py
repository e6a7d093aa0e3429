"""IMPORTS crontabs: reads them as cron does, and writes them as a job file (cronflow-jobs(5))."""
