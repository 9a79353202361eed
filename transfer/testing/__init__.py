"""For tests of what copies images: images from seeds, in a layout on disk, and sources and targets in memory."""

from transfer.testing.images import BuiltImage, ImageBuilder
from transfer.testing.memory import MemorySource, MemoryTarget

__all__ = ["BuiltImage", "ImageBuilder", "MemorySource", "MemoryTarget"]
