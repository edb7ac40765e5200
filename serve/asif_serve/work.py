"""The work queue: a bounded number of model runs, on a few threads, in slices that keep it fair."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from asif_serve.problems import Problem

_SLICE = 8
_In = TypeVar("_In")
_Out = TypeVar("_Out")


class WorkQueue:
    """Runs work off the event loop.

    A request is cut into slices and has no more of them under way than there are threads, so that a large one lets
    small ones in between. When more than `limit` model
    runs are waiting or under way, new work is refused with 429: the same rule for one row and for many.
    """

    def __init__(self, threads: int, limit: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="asif-work")
        self._threads = threads
        self._limit = limit
        self.pending = 0

    async def map(self, function: Callable[[Sequence[_In]], list[_Out]], items: Sequence[_In], cost: int) -> list[_Out]:
        """`function` over slices of `items`, in order; `cost` is the number of model runs it takes.

        Raises Problem 429 if the queue is full. A request larger than the whole queue is let in when it is empty.
        """
        if self.pending and self.pending + cost > self._limit:
            raise Problem(429, "The server has all the work it can hold; try again.", headers={"Retry-After": "1"})
        self.pending += cost
        try:
            loop = asyncio.get_running_loop()
            slices = [items[i : i + _SLICE] for i in range(0, len(items), _SLICE)]
            turn = asyncio.Semaphore(self._threads)

            async def run(part: Sequence[_In]) -> list[_Out]:
                async with turn:
                    return await loop.run_in_executor(self._pool, function, part)

            # Every slice is waited for, also when one fails: the queue must not forget work that is under way.
            done = await asyncio.gather(*map(run, slices), return_exceptions=True)
        finally:
            self.pending -= cost
        for part in done:
            if isinstance(part, BaseException):
                raise part
        return [result for part in done if not isinstance(part, BaseException) for result in part]

    def close(self) -> None:
        """Finish what is under way and stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
