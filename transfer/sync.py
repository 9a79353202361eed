"""
The Python API without asyncio: the same names, arguments, results and errors.

    from transfer.sync import Engine, push_image

    result = push_image("oci:build/image:v1", "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1")
    with Engine() as engine:
        for tag in engine.tags("registry.example/app"):
            engine.copy(f"registry.example/app:{tag}", f"other.example/app:{tag}")

Each call runs in an event loop of its own thread, so that it works in a notebook too, where a loop is running already.
Observers are called in that thread.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from functools import wraps
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, Unpack

from transfer import api, functions
from transfer.auth.login_status import LoginStatus
from transfer.concurrency.loop_thread import LoopThread
from transfer.config import TransferConfig
from transfer.endpoints.image import Image
from transfer.endpoints.locations import Location
from transfer.endpoints.registry_access import DEFAULT_ACCESS, RegistryAccess
from transfer.engine.referrers import Inspected
from transfer.engine.result import Preview, PushResult
from transfer.errors import TransferError
from transfer.events import Observer
from transfer.job import CopyOptions, FilesOptions, Job, Outcome
from transfer.mirror import api as mirror_api
from transfer.model.digest import Digest
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders

if TYPE_CHECKING:
    import boto3

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["Engine", "copy_image", "mirror", "pull_files", "pull_image", "push_files", "push_image"]


def _sync(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return a function that waits for the result of an asynchronous one."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with LoopThread() as thread:
            return thread.run(function(*args, **kwargs))

    return run


def _documented(twin: Callable[..., object]) -> Callable[[F], F]:
    """Give a method the docstring of its asynchronous twin."""

    def apply(method: F) -> F:
        method.__doc__ = twin.__doc__
        return method

    return apply


copy_image = _sync(functions.copy_image)
pull_files = _sync(functions.pull_files)
pull_image = _sync(functions.pull_image)
push_files = _sync(functions.push_files)
push_image = _sync(functions.push_image)
mirror = _sync(mirror_api.mirror)


class Engine:
    """
    Share connections, credentials, limits and the journal between calls, as `transfer.Engine` does.

    Several threads may use one engine at the same time; what two of them need in one repository is uploaded once.
    """

    def __init__(
        self,
        config: TransferConfig | None = None,
        *,
        credentials: AwsCredentials | None = None,
        session: "boto3.Session | None" = None,
    ) -> None:
        self._engine = api.Engine(config, credentials=credentials, session=session)
        self._thread = LoopThread()

    def __enter__(self) -> Self:
        self._thread.__enter__()
        try:
            self._thread.run(self._engine.__aenter__())
        except BaseException:
            self._thread.__exit__()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            self._thread.run(self._engine.__aexit__(kind, error, None))
        finally:
            self._thread.__exit__()

    @_documented(api.Engine.push)
    def push(self, source: Location | Image, target: Location, **options: Unpack[CopyOptions]) -> PushResult:
        return self._thread.run(self._engine.push(source, target, **options))

    @_documented(api.Engine.pull)
    def pull(self, source: Location, target: Location, **options: Unpack[CopyOptions]) -> PushResult:
        return self._thread.run(self._engine.pull(source, target, **options))

    @_documented(api.Engine.copy)
    def copy(self, source: Location | Image, target: Location, **options: Unpack[CopyOptions]) -> PushResult:
        return self._thread.run(self._engine.copy(source, target, **options))

    @_documented(api.Engine.push_files)
    def push_files(
        self, target: str, files: Sequence[str | PathLike[str]], **options: Unpack[FilesOptions]
    ) -> PushResult:
        return self._thread.run(self._engine.push_files(target, files, **options))

    @_documented(api.Engine.pull_files)
    def pull_files(
        self,
        source: str,
        folder: str | PathLike[str],
        *,
        access: RegistryAccess = DEFAULT_ACCESS,
        observer: Observer | None = None,
    ) -> tuple[Path, ...]:
        return self._thread.run(self._engine.pull_files(source, folder, access=access, observer=observer))

    @_documented(api.Engine.run)
    def run(self, job: Job, *, observer: Observer | None = None) -> list[Outcome]:
        return self._thread.run(self._engine.run(job, observer=observer))

    @_documented(api.Engine.preview)
    def preview(self, job: Job) -> list[Preview | TransferError]:
        return self._thread.run(self._engine.preview(job))

    @_documented(api.Engine.inspect)
    def inspect(self, source: str, *, access: RegistryAccess = DEFAULT_ACCESS, referrers: bool = True) -> Inspected:
        return self._thread.run(self._engine.inspect(source, access=access, referrers=referrers))

    @_documented(api.Engine.repositories)
    def repositories(self, registry: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> Iterator[str]:
        return self._each(self._engine.repositories(registry, access=access))

    @_documented(api.Engine.tags)
    def tags(self, repository: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> Iterator[str]:
        return self._each(self._engine.tags(repository, access=access))

    @_documented(api.Engine.digests)
    def digests(
        self, repository: str, tags: Sequence[str], *, access: RegistryAccess = DEFAULT_ACCESS
    ) -> Mapping[str, Digest | TransferError]:
        return self._thread.run(self._engine.digests(repository, tags, access=access))

    @_documented(api.Engine.check_login)
    def check_login(self, location: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> LoginStatus:
        return self._thread.run(self._engine.check_login(location, access=access))

    @_documented(api.Engine.pull_quotas)
    def pull_quotas(self) -> dict[str, RateLimitHeaders]:
        return self._engine.pull_quotas()

    @_documented(api.Engine.delete)
    def delete(self, reference: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> None:
        self._thread.run(self._engine.delete(reference, access=access))

    def _each(self, names: AsyncIterator[str]) -> Iterator[str]:
        """Yield what an asynchronous iterator does, a step at a time."""
        end = object()

        async def step() -> object:
            return await anext(names, end)

        while (name := self._thread.run(step())) is not end:
            yield str(name)
