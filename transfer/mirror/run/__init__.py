"""One run of a mirror: jobs, pruning and the report."""
