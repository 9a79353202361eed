"""An image that a program makes: its layers and its configuration, without a layout on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from transfer.endpoints.locations import FilesLocation
from transfer.errors import InvalidConfig
from transfer.model.platform import parse_platform

_LONG_AGO = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """
    An image to be pushed: `await push_image(Image(layers=["build/root"]), "registry.example/app:v1")`.

    The same layers and configuration make the same digest.

    Attributes:
        layers: from the lowest on: a tar (plain, gzip or zstd) by its path or as bytes, or a folder.
        config: how it runs, under the names of the OCI specification: `{"Entrypoint": ["/app"], "Env": ["A=b"]}`.
        platform: as in `linux/arm64`.
        created: when it was made, by RFC 3339; the same moment for all images where nothing is given.
        annotations: of the manifest.

    Raises:
        InvalidConfig: the platform is none, or there is no layer.
    """

    layers: Sequence[str | PathLike[str] | bytes]
    config: Mapping[str, Any] = field(default_factory=dict)
    platform: str = "linux/amd64"
    created: str = _LONG_AGO
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parse_platform(self.platform)
        if not self.layers:
            raise InvalidConfig("image: it has no layer; name one at least")

    @property
    def location(self) -> FilesLocation:
        """The image without its layers."""
        from transfer.local.files.artifact import empty_image  # noqa: PLC0415 - compression, which copies need not

        platform = parse_platform(self.platform)
        document = {
            "created": self.created,
            "architecture": platform.architecture,
            "os": platform.os,
            **({"variant": platform.variant} if platform.variant else {}),
            "config": dict(self.config),
            "rootfs": {"type": "layers", "diff_ids": []},
            "history": [],
        }
        return FilesLocation(empty_image(document, self.annotations))

    @property
    def given(self) -> tuple[str | bytes, ...]:
        """The layers, paths as texts."""
        return tuple(one if isinstance(one, bytes) else str(one) for one in self.layers)
