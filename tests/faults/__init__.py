"""Every fault that cronflow promises to survive is made to happen, many times, and what came of it is counted."""
