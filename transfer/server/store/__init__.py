"""The store of the embedded registry: blobs as files, metadata in SQLite."""
