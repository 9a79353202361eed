"""Selection of repositories and tags: filters, patterns and version ranges."""
