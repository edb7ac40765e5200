"""The work queue: a bounded number of tokens, on a few threads, a row of each request in turn."""

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from asif_data.encoding import Utterance
from asif_serve.decision import Decision
from asif_serve.predictor import Predictor
from asif_serve.problems import Problem

# What the shortest row costs, in tokens.
LEAST = 4
# The rate is that of about the last hundred engine calls.
_MEMORY = 0.99


class Answer(NamedTuple):
    """What the model says of a row, and whether part of it was not read."""

    decision: Decision
    truncated: bool


def tokens(characters: int, most: int) -> int:
    """About how many tokens the model reads of so many characters: what a row costs, before it is encoded."""
    return min(most, LEAST + characters // 4)


@dataclass
class Times:
    """When a request's rows were first with the engine and last came back, and how long the engine worked on them.

    Points in time are nanoseconds since 1970, 0 where there was none. Encoding and judging are in seconds, added up over
    the threads; rows that failed are not in them.
    """

    queued: int = field(default_factory=time.time_ns)
    begun: int = 0
    done: int = 0
    tokenization: float = 0.0
    inference: float = 0.0


@dataclass(eq=False)
class _Job:
    """The rows of one request: `begun` of them are with the engine or done, `left` are not done and make up `cost`.

    All must have begun within `seconds`.
    """

    predictor: Predictor
    read: Callable[[int], Utterance]
    costs: list[int]
    future: asyncio.Future[list[Answer]]
    times: Times
    seconds: float = math.inf
    begun: int = 0
    room: int = 0

    def __post_init__(self) -> None:
        self.cost = sum(self.costs)
        self.left = len(self.costs)
        self.answers: list[Answer | None] = [None] * self.left
        self.error: Exception | None = None

    @property
    def held(self) -> int:
        """What it counts for in the queue."""
        return min(self.cost, self.room)


class WorkQueue:
    """Runs rows off the event loop.

    Work is counted in tokens, of which `limit` may be waiting or under way, or fewer where those would take more than
    half of the time that a request has at the present rate; past that new work is refused with 429, the same rule for
    one row and for many. No request counts for more than half of the room, so that a large one shuts nobody out.

    Threads take a row of each request in turn, so that a large request keeps a small one waiting for a row or two. An
    engine that likes to run several rows in one call (`Predictor.batch`) gets them from several requests. Rows of a
    request that nobody waits for any more are not begun. `pending` is the number of tokens waiting or under way.
    """

    def __init__(self, threads: int, limit: int, timed: Callable[[float, float], None] = lambda *_: None) -> None:
        """`timed` hears of every engine call, on its thread: the seconds that encoding and judging its rows took."""
        self._limit = limit
        self._timed = timed
        self._threads = [
            threading.Thread(target=self._work, name=f"asif-work-{i}", daemon=True) for i in range(threads)
        ]
        # Guards all that follows; threads wait on it for rows.
        self._ready = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._finished: list[_Job] = []
        self._started = self._closed = False
        self._spent = self._seconds = 0.0
        self._held = self.pending = 0

    def submit(
        self,
        predictor: Predictor,
        read: Callable[[int], Utterance],
        costs: Sequence[int],
        deadline: float | None = None,
        times: Times | None = None,
    ) -> asyncio.Future[list[Answer]]:
        """A future of one answer for each row: `read(i)` gives row i, `costs[i]` is what it costs in `tokens`.

        `times` is filled in while the rows are worked on. Cancelling the future, or giving it a result, takes the rows that are not begun out of the queue. So does
        `deadline`, a time of the event loop's clock: the future then ends with Problem 503. Raises Problem 429 if
        the queue is full.
        """
        loop = asyncio.get_running_loop()
        seconds = math.inf if deadline is None else deadline - loop.time()
        job = _Job(predictor, read, list(costs), loop.create_future(), times or Times(), seconds)
        if not job.costs:
            job.future.set_result([])
            return job.future
        with self._ready:
            limit = self._limit
            if deadline is not None and self._spent:
                limit = max(2, min(limit, int(self._rate() * seconds / 2)))
            over = self._held + min(job.cost, limit // 2) - limit
            if self._held and over > 0:
                raise Problem(429, "The server has all the work it can hold; try again.", headers=self._later(over))
            job.room = limit // 2
            self._held += job.held
            self.pending += job.cost
            self._jobs.append(job)
            self._ready.notify(min(len(job.costs), len(self._threads)))
        self._start()
        timer = loop.call_at(deadline, self._expire, job) if deadline is not None else None
        job.future.add_done_callback(lambda _: self._leave(job, timer))
        return job.future

    def close(self, patience: float = 2.0) -> None:
        """Finish the rows under way and stop the threads, within `patience` seconds."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        until = time.monotonic() + patience
        for thread in self._threads if self._started else ():
            thread.join(max(0.0, until - time.monotonic()))

    # On the event loop

    def _start(self) -> None:
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()

    def _later(self, work: int) -> dict[str, str]:
        """Retry-After of so many tokens: whole seconds, one at least."""
        seconds = work / self._rate() if self._spent else 0
        return {"Retry-After": str(max(1, math.ceil(seconds)))}

    def _rate(self) -> float:
        """Tokens a second, all threads at work."""
        return len(self._threads) * self._spent / self._seconds

    def _expire(self, job: _Job) -> None:
        if job.begun == len(job.costs) or job.future.done():
            return
        with self._ready:
            others = self._later(self.pending - job.cost)
            alone = self._spent and sum(job.costs) > self._rate() * job.seconds
        if alone:
            detail = "This request alone takes longer than the server gives to one; send fewer utterances at a time."
        else:
            detail = "The server could not begin all of this request in time; try again, or with fewer utterances."
        job.future.set_exception(Problem(503, detail, headers=others))

    def _leave(self, job: _Job, timer: asyncio.TimerHandle | None) -> None:
        """Forget what is not begun of a job that is answered, late, or waited for no longer."""
        if timer:
            timer.cancel()
        if job.left:
            with self._ready:
                self._withdraw(job)

    def _withdraw(self, job: _Job) -> None:
        if job.begun < len(job.costs):
            self._jobs.remove(job)
            self._pay(job, sum(job.costs[job.begun :]))
            job.begun = len(job.costs)

    def _pay(self, job: _Job, cost: int) -> None:
        """So much of a job is done, or will never be."""
        self._held -= job.held
        job.cost -= cost
        self._held += job.held
        self.pending -= cost

    def _deliver(self) -> None:
        with self._ready:
            finished, self._finished = self._finished, []
        for job in finished:
            if job.future.done():
                continue
            if job.error:
                job.future.set_exception(job.error)
            else:
                job.future.set_result([answer for answer in job.answers if answer])

    # On the threads

    def _work(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Wait for rows and answer them; False when there is no more to wait for.

        A function of its own, so that an idle thread holds no job, and with it no predictor that was replaced.
        """
        with self._ready:
            while not self._jobs:
                if self._closed:
                    return False
                self._ready.wait()
            taken = self._take()
        start = time.perf_counter()
        answers = self._answer(taken)
        self._settle(taken, answers, time.perf_counter() - start)
        return True

    def _take(self) -> list[tuple[_Job, int]]:
        """Rows for one engine call, one of each job in turn, all of one predictor."""
        predictor, taken = self._jobs[0].predictor, []
        while self._jobs and self._jobs[0].predictor is predictor and len(taken) < predictor.batch:
            job = self._jobs.popleft()
            job.times.begun = job.times.begun or time.time_ns()
            taken.append((job, job.begun))
            job.begun += 1
            if job.begun < len(job.costs):
                self._jobs.append(job)
        return taken

    def _answer(self, taken: list[tuple[_Job, int]]) -> list[Answer | Exception]:
        """Answers to rows of one predictor, from one call; where that fails, each row has its own answer or error."""
        predictor = taken[0][0].predictor
        try:
            start = time.perf_counter()
            encoded = predictor.encoder([job.read(row) for job, row in taken])
            between = time.perf_counter()
            decisions = predictor.decide(encoded)
        except Exception as error:
            if len(taken) == 1:
                return [error]
            return [answer for one in taken for answer in self._answer([one])]
        self._time(taken, between - start, time.perf_counter() - between)
        return [Answer(*both) for both in zip(decisions, (e.truncated for e in encoded), strict=True)]

    def _time(self, taken: list[tuple[_Job, int]], tokenization: float, inference: float) -> None:
        self._timed(tokenization, inference)
        with self._ready:
            for job, _ in taken:
                job.times.tokenization += tokenization / len(taken)
                job.times.inference += inference / len(taken)

    def _settle(self, taken: list[tuple[_Job, int]], answers: list[Answer | Exception], seconds: float) -> None:
        with self._ready:
            spent, now = 0, time.time_ns()
            for (job, row), answer in zip(taken, answers, strict=True):
                spent += job.costs[row]
                self._pay(job, job.costs[row])
                job.left -= 1
                job.times.done = now
                if isinstance(answer, Exception):
                    job.error = answer
                    self._withdraw(job)
                else:
                    job.answers[row] = answer
                if (not job.left or job.error) and not job.future.done():
                    # Whoever begins the list wakes the event loop, which then takes all of it.
                    if not self._finished:
                        with contextlib.suppress(RuntimeError):  # closed: there is nobody left to tell
                            job.future.get_loop().call_soon_threadsafe(self._deliver)
                    self._finished.append(job)
            self._spent = _MEMORY * self._spent + spent
            self._seconds = _MEMORY * self._seconds + seconds
