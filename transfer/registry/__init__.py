"""Ends that are registries: how to reach them and what they say. Knows no image and no plan."""
