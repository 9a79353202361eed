"""Planning: what sources and targets hold, and what must be copied."""
