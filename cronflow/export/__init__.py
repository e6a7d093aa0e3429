"""LEAVES: writes the jobs of a job file for another scheduler, and says what that one cannot express."""
