"""The embedded registry as a program uses it: start it, ask it where it is, stop it."""

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from filelock import FileLock, Timeout

from transfer.concurrency.loop_thread import LoopThread
from transfer.errors import InvalidConfig
from transfer.listener_log import listener_logger
from transfer.server.distribution.ecr import ECR
from transfer.server.distribution.endpoint import PATH as V2_PATH
from transfer.server.distribution.endpoint import DistributionEndpoint
from transfer.server.distribution.oci import OCI
from transfer.server.download import PATH, Downloads, tell_promised
from transfer.server.ecr.operations import OPERATIONS, Registry
from transfer.server.endpoint import Endpoint
from transfer.server.log import RequestLog
from transfer.server.settings import MIB, Settings
from transfer.server.store.database import Database
from transfer.server.store.files import Files
from transfer.server.store.temporary import LOCK, temporary_data
from transfer.server.throttle import Throttle

P = ParamSpec("P")
T = TypeVar("T")

# How long requests that are under way may take to end when the server stops. Clients resume; people do not wait.
_GRACE_SECONDS = 0.1
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where a server listens that listens everywhere


class _Running:
    """The handlers that are at work, also those whose client is gone and which aiohttp therefore forgets."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def track(request: web.Request, handler: Handler) -> web.StreamResponse:
            task = asyncio.current_task()
            assert task is not None, "a handler outside a task"  # noqa: S101  # aiohttp runs each in one
            self._tasks.add(task)
            try:
                return await handler(request)
            finally:
                self._tasks.discard(task)

        return track

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


class Server:
    """
    A registry with the ECR API and OCI Distribution.

    `async with Server() as server` runs it in the caller's event loop; `with Server() as server` in a thread of its
    own, so that boto3 in the same thread can wait for it. `@Server()` calls a function with the server as its first
    argument.

    Args:
        host, port: where it listens; port 0 takes a free one.
        data: folder that it keeps everything in, made when absent; without one, a temporary folder that goes with it.
        account, region: whose registry it is.
        access_key, secret_key: what requests to the ECR API must be signed with; user and password at `/v2/`, which
            takes the token of GetAuthorizationToken too.
        auth: False takes any request, signed or not.
        part_size: bytes, what InitiateLayerUpload answers. Below 5 MiB, the minimum of parts comes down with it.
        url_ttl: seconds that a layer's download URL is good for.
        upload_ttl: seconds that an upload lives without a new part.
        token_ttl: seconds that a token of GetAuthorizationToken is good for.
        dialect: what `/v2/` is like: `oci`, the specification, or `ecr`, with the quirks of ECR's Docker endpoint.
        create_on_push: whether a push to `/v2/` makes the repository it names. None means yes for `oci`, since what
            people push with cannot create one, and no for `ecr`, which has it off.
        blob_mounting: whether the `ecr` dialect mounts blobs: ECR's account setting, which is off at first.
        throttle: requests a second that are served, by the API's name of the operation, as in `{"PutImage": 10}`, with
            one second's worth saved up at most; what comes on top is refused as ECR does. What `/v2/` is asked counts
            as what ECR's Docker endpoint does for it. `ECR_QUOTAS` of `transfer.server.throttle` are ECR's own.

    Raises:
        InvalidConfig: a value is outside its range, or, on entering, the data folder is another server's.
        OSError: on entering: the address cannot be listened on, or the folder cannot be written.
    """

    def __init__(  # noqa: PLR0913  # each is one setting of `transfer serve`
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        data: Path | None = None,
        account: str = "123456789012",
        region: str = "us-east-1",
        access_key: str = "transfer",
        secret_key: str = "transfer",  # noqa: S107  # of a registry on this machine
        auth: bool = True,
        part_size: int = 10 * MIB,
        url_ttl: float = 3600.0,
        upload_ttl: float = 86400.0,
        token_ttl: float = 43200.0,
        dialect: str = "oci",
        create_on_push: bool | None = None,
        blob_mounting: bool = False,
        throttle: Mapping[str, float] | None = None,
    ) -> None:
        self._settings = Settings(
            account=account,
            region=region,
            access_key=access_key,
            secret_key=secret_key,
            auth=auth,
            part_size=part_size,
            url_ttl=url_ttl,
            upload_ttl=upload_ttl,
            token_ttl=token_ttl,
            dialect=dialect,
            create_on_push=dialect == "oci" if create_on_push is None else create_on_push,
            blob_mounting=blob_mounting,
        )
        self._throttle = Throttle(throttle or {}, OPERATIONS)
        self._host = host
        self._port = port
        self._data = data
        self._resources = AsyncExitStack()
        self._thread: LoopThread | None = None
        self.requests = RequestLog()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as resources:
            registry = await self._open_registry(resources)
            await self._listen(registry, resources)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    def __enter__(self) -> Self:
        self._thread = LoopThread("transfer-registry")
        self._thread.__enter__()
        try:
            self._thread.run(self.__aenter__())
        except BaseException:
            self._thread.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                thread.run(self.__aexit__())
            finally:
                thread.__exit__()

    def __call__(self, function: Callable[Concatenate[Self, P], T]) -> Callable[P, T]:
        """Return a function that runs with the server started."""

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            with self:
                return function(self, *args, **kwargs)

        # pytest takes the arguments that it gives from here, and knows no server.
        given = list(inspect.signature(function).parameters.values())[1:]
        run.__signature__ = inspect.Signature(given)  # type: ignore[attr-defined] # as inspect documents
        return run

    @property
    def host(self) -> str:
        """The host and port, as images at `/v2/` are named: `127.0.0.1:5000/app:v1`."""
        return self.url.partition("//")[2]

    @property
    def url(self) -> str:
        """The server's URL, as `http://127.0.0.1:5000`."""
        host = _EVERYWHERE.get(self._host, self._host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def registry(self) -> str:
        """The registry host of its images, as in `123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1`."""
        return self._settings.registry

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that make AWS's tools, and this one, use this registry."""
        return {
            "AWS_ENDPOINT_URL_ECR": self.url,
            "AWS_ACCESS_KEY_ID": self._settings.access_key,
            "AWS_SECRET_ACCESS_KEY": self._settings.secret_key,
            "AWS_REGION": self._settings.region,
            # boto3 reads the region from this one alone.
            "AWS_DEFAULT_REGION": self._settings.region,
        }

    async def _open_registry(self, resources: AsyncExitStack) -> Registry:
        data = self._data or resources.enter_context(temporary_data())
        data.mkdir(parents=True, exist_ok=True)
        lock = FileLock(data / LOCK)
        try:
            resources.enter_context(lock.acquire(timeout=0))
        except Timeout:
            raise InvalidConfig(f"data folder {data}: another server is using it; stop it or name another") from None
        files = Files(data)
        resources.callback(files.close)
        database = Database(data / "registry.sqlite")
        resources.push_async_callback(database.close)
        await database.open()
        registry = Registry(self._settings, self._throttle, database, files)
        await registry.upload_store.start(time.time())
        return registry

    async def _listen(self, registry: Registry, resources: AsyncExitStack) -> None:
        running = _Running()
        resources.push_async_callback(running.stop)
        app = web.Application(middlewares=[running.middleware])
        app.on_response_prepare.append(tell_promised)
        app.router.add_post("/", Endpoint(registry, self.requests).handle)
        dialect = ECR if self._settings.dialect == "ecr" else OCI
        app.router.add_route("*", V2_PATH, DistributionEndpoint(registry, dialect, self.requests).handle)
        app.router.add_get(PATH, Downloads(registry, self.requests).handle, allow_head=False)
        # Bodies are taken as sent: unpacking a Content-Encoding here would take more than was hashed.
        # What is left of a body is let pass by `drain`: aiohttp's own lingering outlives the server.
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=listener_logger(__name__),
            shutdown_timeout=_GRACE_SECONDS,
            auto_decompress=False,
            lingering_time=0,
        )
        resources.push_async_callback(runner.cleanup)
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port)
        await site.start()
        self._port = runner.addresses[0][1]
