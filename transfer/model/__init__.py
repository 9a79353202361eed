"""Values without I/O: digest, descriptor, manifest, reference. Knows no end, no protocol and no file."""
