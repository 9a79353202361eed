"""A mirror's configuration: this project's format, skopeo's and regsync's."""
