"""Tar archives: OCI layouts in a tar, and what `docker save` writes."""
