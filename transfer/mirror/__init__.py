"""Many images from one configuration: what is mirrored, under which names, and how a file says so."""
