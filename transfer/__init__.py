"""Move container image layers: resumable, batched, bounded."""
