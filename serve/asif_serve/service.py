"""What the endpoints share: the model in service, the queue, the settings, the metrics."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from fastapi import Request
from opentelemetry import trace

from asif_data.encoding import Utterance
from asif_serve import problems
from asif_serve.call import spend
from asif_serve.deadline import deadline_of
from asif_serve.explain import Explanation, Probes
from asif_serve.predictor import Predictor
from asif_serve.problems import Problem
from asif_serve.settings import Settings
from asif_serve.swap import ModelInService
from asif_serve.telemetry import Telemetry
from asif_serve.tracing import tracer_provider
from asif_serve.work import Answer, Times, WorkQueue, tokens

# Seconds before a client that waits is watched.
_MOMENT = 0.1


class Service:
    """Answers utterances for the endpoints of one app."""

    def __init__(self, settings: Settings, predictor: Predictor | None) -> None:
        self.settings = settings
        self.tracing = tracer_provider()
        tracer = self.tracing and trace.get_tracer("asif", tracer_provider=self.tracing)
        self.telemetry = Telemetry(lambda: self.queue.pending, tracer)
        threads = max(1, settings.threads // settings.workers)
        self.queue = WorkQueue(threads, settings.queue_tokens, self.telemetry.stages)
        self.model = ModelInService(settings.model, predictor, self.telemetry)

    @property
    def predictor(self) -> Predictor:
        """The verified model; a request takes it once. Raises Problem 503 while there is none."""
        if self.model.predictor is None:
            raise Problem(503, "No model is ready to answer yet.", headers={"Retry-After": "1"})
        return self.model.predictor

    async def beat(self, follow: bool) -> None:
        """Every second: bring the metrics up to date and, with `follow`, look whether another model is in service."""
        while True:
            await asyncio.sleep(1)
            self.telemetry.refresh()
            if follow:
                await self.model.look()

    async def close(self) -> None:
        """Stop the threads, and send the spans that are not sent yet."""
        await asyncio.to_thread(self.queue.close)
        if self.tracing:
            await asyncio.to_thread(self.tracing.shutdown)

    async def answer(self, request: Request, predictor: Predictor, utterances: Sequence[Utterance]) -> list[Answer]:
        """Answers to all utterances by one predictor, off the event loop."""
        self._check(utterances)
        lengths = [_length(utterance) for utterance in utterances]
        return await self._run(request, predictor, utterances.__getitem__, lengths, len(utterances))

    async def explain(
        self, request: Request, predictor: Predictor, utterances: Sequence[Utterance]
    ) -> tuple[list[Answer], list[Explanation]]:
        """Answers and their explanations, as one piece of work: let in, timed and given up together."""
        if len(utterances) > self.settings.max_explained:
            raise problems.too_many(self.settings.max_explained, "with explain")
        self._check(utterances)
        probes = [Probes(utterance) for utterance in utterances]
        places = [(probe, i) for probe in probes for i in range(len(probe))]
        count = len(utterances)

        def read(row: int) -> Utterance:
            if row < count:
                return utterances[row]
            probe, i = places[row - count]
            return probe[i]

        lengths = [_length(u) for u in utterances] + [length for probe in probes for length in probe.lengths()]
        found = await self._run(request, predictor, read, lengths, count)
        judged = iter(answer.decision for answer in found[count:])
        explained = [
            probe.explanation(answer.decision, list(islice(judged, len(probe))))
            for probe, answer in zip(probes, found, strict=False)
        ]
        return found[:count], explained

    async def _run(
        self,
        request: Request,
        predictor: Predictor,
        read: Callable[[int], Utterance],
        lengths: Sequence[int],
        count: int,
    ) -> list[Answer]:
        """Queue rows, the first `count` of which are the caller's, and wait for them, no longer than the client does."""
        most = predictor.model.manifest.max_tokens
        costs, times = [tokens(length, most) for length in lengths], Times()
        work = self.queue.submit(predictor, read, costs, deadline_of(request.scope), times)
        spend(sum(costs), rows=count)
        try:
            with _watched(request, work):
                found = await work
        except asyncio.CancelledError:
            # The server stops, and the time in which what was under way could be finished is over.
            raise Problem(503, "The server is stopping.", headers={"Retry-After": "1"}) from None
        finally:
            self.telemetry.trace(times)
        answers = found[:count]
        self.telemetry.decisions([answer.decision for answer in answers], sum(answer.truncated for answer in answers))
        return found

    def _check(self, utterances: Sequence[Utterance]) -> None:
        if len(utterances) > self.settings.max_rows:
            raise problems.too_many(self.settings.max_rows)
        most = self.settings.max_characters
        if any(len(u.text) > most or len(u.context or "") > most for u in utterances):
            raise Problem(413, f"Expected at most {most} characters in one text or context.")


@contextmanager
def _watched(request: Request, work: asyncio.Future[list[Answer]]) -> Iterator[None]:
    """Give work up when the client hangs up.

    The client is watched only after a moment, within which most are answered: a task costs a tenth of a millisecond.
    """
    watches: list[asyncio.Task[None]] = []
    timer = asyncio.get_running_loop().call_later(
        _MOMENT, lambda: watches.append(asyncio.create_task(_give_up(request, work)))
    )
    try:
        yield
    finally:
        timer.cancel()
        for watch in watches:
            watch.cancel()


async def _give_up(request: Request, work: asyncio.Future[list[Answer]]) -> None:
    """Take work out of the queue when the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    if not work.done():
        # Nobody reads the answer; the metrics count it under the status that nginx made customary.
        work.set_exception(Problem(499, "The client has hung up."))


def _length(utterance: Utterance) -> int:
    return len(utterance.text) + len(utterance.context or "")
