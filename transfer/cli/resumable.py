"""Commands whose work a later run continues: how a signal ends them, and what they say then."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from transfer.cli.event_loop import before_stop, run
from transfer.cli.main import Terminated
from transfer.concurrency.retry import retryable
from transfer.concurrency.steps import FINISH_SECONDS
from transfer.errors import TransferError
from transfer.events import Notice, Observer

if TYPE_CHECKING:
    from transfer.api import Engine

T = TypeVar("T")

_CONTINUES = "the same command, run again, continues from here"
_CUT = f"{_CONTINUES}, but a layer whose registry gives an upload up when a chunk breaks off starts over"


class Resumable:
    """
    A command that sends blobs.

    Args:
        journal: whether a later run continues.
    """

    def __init__(self, *, journal: bool) -> None:
        self._journal = journal
        self._engines: list[Engine] = []

    def run(self, work: Callable[[], Coroutine[Any, Any, T]], *, plain: bool) -> T:
        """Run it; as `event_loop.run`."""
        try:
            return run(work, plain=plain)
        except (KeyboardInterrupt, Terminated, TransferError) as error:
            self.note(error)
            raise

    def opened(self, engine: "Engine", observer: Observer) -> None:
        """Have the first signal wait for the chunks of an engine that are on the wire."""
        self._engines.append(engine)
        before_stop(partial(_finish, engine, observer))

    def note(self, error: BaseException) -> None:
        """Add to an error what the next run will do, where it continues."""
        if self._journal and (not isinstance(error, TransferError) or retryable(error)):
            error.add_note(_CUT if any(engine.limits.steps.cut for engine in self._engines) else _CONTINUES)


async def _finish(engine: "Engine", observer: Observer) -> None:
    if engine.limits.steps.at_work:
        observer(Notice(f"stopping once what is on the wire has arrived, in {FINISH_SECONDS:.0f} s at most"))
    await engine.limits.steps.stop(FINISH_SECONDS)
