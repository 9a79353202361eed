"""State that outlives a run: upload sessions, blobs known to be present, trimmed indexes."""
