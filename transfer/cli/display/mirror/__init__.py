"""What `transfer mirror` shows while it works."""
