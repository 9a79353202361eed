"""The algorithm: what to move, in which order, each blob once."""
