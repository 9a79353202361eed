"""Output of the commands: progress, tables, reports and JSON."""
