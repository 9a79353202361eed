"""The ECR API: requests, rules, operations and words."""
