"""What the embedded registry keeps: blobs as files, metadata in SQLite. Knows no protocol and no operation."""
