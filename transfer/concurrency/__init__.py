"""How much happens at once, and for how long: limits, retries, task groups and worker threads."""
