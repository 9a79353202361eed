"""Which repositories and tags are taken: filters, patterns and version ranges."""
