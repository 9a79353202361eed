"""What there is at sources and targets, and what must be copied."""
