"""The ECR API: requests, rules, operations and words. Knows no HTTP: ECR's Docker endpoint is a proxy over it too."""
