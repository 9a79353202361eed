"""Values without I/O: digest, descriptor, manifest, reference."""
