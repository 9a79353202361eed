"""A mirror that runs again and again: schedule, reloading, health and metrics."""
