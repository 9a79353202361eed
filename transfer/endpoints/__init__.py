"""The composition root: from a reference to a source, a target or a repository that is open."""
