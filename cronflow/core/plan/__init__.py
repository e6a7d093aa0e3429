"""What the job file means as a whole: flows, copies, parameters, changes."""
