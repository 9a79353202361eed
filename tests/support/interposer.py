"""
A peer between a client and a real registry: passes everything on, but for what a test tells it to spoil.

Requests go on as they came, Host included, so that their signatures still fit. Does not know what a registry is; the
names of operations come from the tests.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.support.scripted import Arrived, Peer, Step, answer

Members = dict[str, Any]


def refusal(code: str, status: int = 400, *, headers: dict[str, str] | None = None, **members: object) -> Step:
    """Answer in the registry's place, which never hears of the request."""
    return answer(status, {"__type": code, "message": "said the peer", **members}, **(headers or {}))


@dataclass
class Rule:
    """What happens to the next requests of one operation."""

    operation: str
    when: Callable[[Members], bool]
    steps: deque[Step]
    for_ever: bool

    def take(self, request: Arrived) -> Step | None:
        if request.operation != self.operation or not self.steps or not self.when(request.json()):
            return None
        return self.steps[0] if self.for_ever else self.steps.popleft()


@dataclass
class Hold:
    """
    A request that is held, or its answer: `came` when it is here, goes on once `released`.

    As a step it does `before` first and `after` in the end.
    """

    before: Callable[[Arrived], Awaitable[object]]
    after: Callable[[Arrived], Awaitable[object]]
    came: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: Arrived) -> None:
        await self.before(request)
        self.came.set()
        await self.released.wait()
        await self.after(request)


class Interposer(Peer):
    """
    Stands before the registry at `upstream`, which may be exchanged while it stands there.

    Its methods that take a request are steps of a script.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__((), scheme="http")
        self.upstream = upstream
        self._rules: list[Rule] = []

    def on(
        self,
        operation: str,
        *steps: Step,
        when: Callable[[Members], bool] = lambda _: True,
        for_ever: bool = False,
    ) -> None:
        """Take these steps, one for each coming request of an operation that `when` is true of; then pass them on."""
        self._rules.append(Rule(operation, when, deque(steps), for_ever))

    def relent(self) -> None:
        """Pass everything on from now."""
        self._rules.clear()

    async def choose(self, request: Arrived) -> Step:
        await request.read_body()
        found = (step for rule in self._rules if (step := rule.take(request)) is not None)
        return next(found, self.forward)

    async def forward(self, request: Arrived) -> None:
        """Pass the request on, and its answer back."""
        status, body = await self._ask(request)
        await _reply(request, status, body)

    async def lose(self, request: Arrived) -> None:
        """Let the registry do it, and drop its answer."""
        await self._ask(request)
        request.writer.close()

    async def cut(self, request: Arrived) -> None:
        """Pass on half of the request's body and break both connections."""
        _, writer = await self._connect()
        writer.write(_head(request) + request.body[: request.length // 2])
        await writer.drain()
        writer.close()
        request.writer.transport.abort()

    def damaging(self, character: bytes) -> Step:
        """Pass the request on with another character in the middle of its body."""

        async def step(request: Arrived) -> None:
            middle = len(request.body) // 2
            request.body[middle : middle + 1] = character
            await self.forward(request)

        return step

    def held(self) -> Hold:
        """Wait for a test to release the request, then pass it on."""
        return Hold(_nothing, self.forward)

    def held_back(self) -> Hold:
        """Let the registry do it, and wait for a test to release its answer."""
        answers: list[tuple[int, bytes]] = []

        async def ask(request: Arrived) -> None:
            answers.append(await self._ask(request))

        async def pass_back(request: Arrived) -> None:
            await _reply(request, *answers.pop())

        return Hold(ask, pass_back)

    def after(self, act: Callable[[], Awaitable[object]]) -> Step:
        """Let something else happen first, then pass the request on."""

        async def step(request: Arrived) -> None:
            await act()
            await self.forward(request)

        return step

    def rewriting(self, change: Callable[[Members, Members], Members]) -> Step:
        """Let the registry do it, and answer what `change` makes of the request and its answer."""

        async def step(request: Arrived) -> None:
            status, body = await self._ask(request)
            await _reply(request, status, json.dumps(change(request.json(), json.loads(body))).encode())

        return step

    def disowned(self, code: str) -> Step:
        """Let the registry do it, and answer that it refused."""

        async def step(request: Arrived) -> None:
            await self._ask(request)
            await _reply(request, 400, json.dumps({"__type": code, "message": "said the peer"}).encode())

        return step

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = urlsplit(self.upstream)
        return await asyncio.open_connection(place.hostname, place.port)

    async def _ask(self, request: Arrived) -> tuple[int, bytes]:
        reader, writer = await self._connect()
        try:
            writer.write(_head(request) + request.body)
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        finally:
            writer.close()
        if not head:
            raise ConnectionResetError
        return int(head.split(b" ", 2)[1]), body


async def _nothing(request: Arrived) -> None:
    del request


def _head(request: Arrived) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items() if name != "connection")
    return f"{request.line}\r\n{lines}connection: close\r\n\r\n".encode("latin-1")


async def _reply(request: Arrived, status: int, body: bytes) -> None:
    request.reply(status, body, {"Content-Type": "application/x-amz-json-1.1"})
    await request.writer.drain()
