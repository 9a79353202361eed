"""Targets that hold images for one platform under names: docker's archives and daemons. Pure."""

from msgspec.structs import replace

from transfer.endpoints.locations import DaemonLocation, ImageLocation, RemoteLocation
from transfer.local.reference import LocalReference


def holds_single_images(location: ImageLocation) -> bool:
    """Return whether a target takes an image for one platform, and no index."""
    return isinstance(location, DaemonLocation) or (
        isinstance(location, LocalReference) and location.kind == "docker-archive"
    )


def named_after(source: ImageLocation, target: ImageLocation) -> ImageLocation:
    """Return a target where an image is known by a name, with that of the source if it has none of its own."""
    if not isinstance(target, LocalReference) or target.kind != "docker-archive" or target.choice is not None:
        return target
    if isinstance(source, RemoteLocation) and source.reference.tag is not None:
        reference = source.reference
        return replace(target, choice=f"{reference.registry}/{reference.repository}:{reference.tag}")
    return target
