"""Threads for code that may raise anything: it ends in a result or in an `Exception`.

Python reserves some exceptions, and asyncio can't pass them on from a thread: `StopIteration` is lost, so that whoever
waits for it waits for ever (Python 3.11: "cannot be raised into a Future"), and `KeyboardInterrupt` and `SystemExit`
end the event loop silently, with /ping busy for ever. A tool can raise each of them.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from runtime.agent.errors import Escaped

P = ParamSpec("P")
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """A pool of threads from which nothing escapes."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread.

        The future raises :class:`~runtime.agent.errors.Escaped` in place of what asyncio can't pass on.
        """
        return super().submit(partial(_hold, fn), *args, **kwargs)


def _hold(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return fn(*args, **kwargs)
    except StopIteration as error:
        raise Escaped(error) from error
    except Exception:
        raise
    except BaseException as error:
        raise Escaped(error) from error
