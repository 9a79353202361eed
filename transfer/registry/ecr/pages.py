"""
Pages: a list of the ECR API, one call after the other.

Iterators with a state instead of generators: one that is left in the middle holds nothing that must be closed. Does
not know how a page is asked for.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Generic, Self, TypeVar

from transfer.errors import RegistryError

R = TypeVar("R")
Page = dict[str, Any]


class Pages(AsyncIterator[Page]):
    """
    Every page, whole.

    Args:
        ask: fetches the page of these parameters.
        params: those of the first page.
        paginator: botocore's model of how the pages hang together.
        what: the list, for an error.

    Raises (on iteration):
        RegistryError: a page names one that was already read, so that there is no end.
    """

    def __init__(
        self, ask: Callable[[Mapping[str, Any]], Awaitable[Page]], params: Mapping[str, Any], paginator: Any, what: str
    ) -> None:
        self._ask = ask
        self._params: dict[str, Any] | None = dict(params)
        self._input: str = paginator["input_token"]
        self._output: str = paginator["output_token"]
        self._what = what
        self._seen: set[str] = set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self._params is None:
            raise StopAsyncIteration
        page = await self._ask(self._params)
        token: str = page.get(self._output) or ""
        if token in self._seen:
            raise RegistryError(
                f"{self._what}: the registry repeats a page token, so its pages never end; try again",
                status=200,
                code="RepeatedPageToken",
            )
        self._seen.add(token)
        self._params = {**self._params, self._input: token} if token else None
        return page


class Items(AsyncIterator[R], Generic[R]):
    """Every entry under `key`, over all pages."""

    def __init__(self, pages: Pages, key: str) -> None:
        self._pages = pages
        self._key = key
        self._held: deque[R] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        while not self._held:
            self._held.extend((await anext(self._pages)).get(self._key, ()))
        return self._held.popleft()
