"""cronflow: cron, plus dependencies, retries, history and alerts, in one TOML file and one process."""

__version__ = "0.1.0"
