"""A memory for as long as a test lasts."""


class Dictionary:
    """Shows what it keeps."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def recall(self, key: str) -> bytes | None:
        return self.kept.get(key)

    async def remember(self, key: str, value: bytes) -> None:
        self.kept[key] = value
