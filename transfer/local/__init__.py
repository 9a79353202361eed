"""Images on this machine: OCI layouts and archives."""
