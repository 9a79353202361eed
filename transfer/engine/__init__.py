"""The algorithm and its rules: what to move, in which order, within which limits. Knows no protocol and no end."""
