"""OCI Distribution at `/v2/`, over the store of the ECR API: routes, handlers by topic, and the two dialects."""
