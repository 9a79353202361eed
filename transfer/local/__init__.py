"""Ends on this machine: the OCI image layout and memory. Knows no registry and no network."""
