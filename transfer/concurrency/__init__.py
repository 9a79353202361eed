"""Concurrency: limits, retries, task groups and worker threads."""
