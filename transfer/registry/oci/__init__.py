"""OCI Distribution registries as Source and Target. Knows no other protocol."""
