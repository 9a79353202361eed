"""HTTP: a client in the event loop, a client in worker threads for large blobs, TLS, proxies and byte ranges."""
