"""OCI Distribution registries as Source and Target."""
