"""Registries: OCI Distribution and the ECR API."""
