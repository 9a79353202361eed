"""The AWS ECR API: the only place on the client side where its words (layer part, image, registryId) are used."""
