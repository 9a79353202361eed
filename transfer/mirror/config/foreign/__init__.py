"""Configurations of other tools, as they are: each reader makes a draft of plain data."""
