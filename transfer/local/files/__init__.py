"""Files and folders as artifacts of a registry."""
