"""Prometheus metrics. None of them carries a word of an utterance."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter
from typing import Literal

from opentelemetry.context import Context
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from asif_serve.decision import Decision

# A short row takes milliseconds: finer than the library's own.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
Stage = Literal["tokenization", "inference"]


class Telemetry:
    """The metrics of one app, in a registry of its own."""

    def __init__(self, pending: Callable[[], float], tracer: Tracer | None = None) -> None:
        """`pending` tells the queue's length; with a `tracer`, stages are spans too."""
        self.registry = CollectorRegistry()
        self._tracer = tracer
        self._requests = Counter("asif_requests", "Requests answered.", ["path", "status"], registry=self.registry)
        self._seconds = Histogram(
            "asif_request_seconds", "Time from request to answer.", ["path"], registry=self.registry, buckets=_SECONDS
        )
        self._rows = Counter(
            "asif_rows", "Utterances answered, by the name of the caller's key.", ["key"], registry=self.registry
        )
        self._truncated = Counter(
            "asif_truncated", "Utterances of which a part did not fit and was not read.", registry=self.registry
        )
        self._stages = {
            "tokenization": Histogram(
                "asif_tokenization_seconds", "Time to encode a slice of rows.", registry=self.registry, buckets=_SECONDS
            ),
            "inference": Histogram(
                "asif_inference_seconds",
                "Time of the model on a slice of rows.",
                registry=self.registry,
                buckets=_SECONDS,
            ),
        }
        self._labels = Counter(
            "asif_labels",
            "Utterances answered, by label; none where withheld as out of scope.",
            ["label"],
            registry=self.registry,
        )
        self._abstained = Counter(
            "asif_abstentions", "Utterances withheld, by reason.", ["reason"], registry=self.registry
        )
        self._model = Info("asif_model", "The model in service.", registry=self.registry)
        Gauge("asif_queue_rows", "Model runs waiting or under way.", registry=self.registry).set_function(pending)

    def model(self, version: str) -> None:
        """Say which model is in service."""
        self._model.info({"version": version})

    def request(self, path: str, status: int, seconds: float, rows: int = 0, key: str = "") -> None:
        """Count a request; `path` is a route's template, never what the caller sent, and `key` the name of its key."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        if rows and status == 200:
            self._rows.labels(key).inc(rows)

    @contextmanager
    def stage(self, stage: Stage, parent: Context | None = None) -> Iterator[None]:
        """Time a stage of the work on a slice of rows; `parent` is the trace's context, which threads do not inherit."""
        start = perf_counter()
        with self._span(stage, parent):
            yield
        self._stages[stage].observe(perf_counter() - start)

    def _span(self, stage: Stage, parent: Context | None) -> AbstractContextManager[object]:
        if self._tracer is None:
            return nullcontext()
        # An exception's message may hold an utterance.
        return self._tracer.start_as_current_span(stage, parent, record_exception=False, set_status_on_exception=False)

    def decisions(self, decisions: Sequence[Decision], truncated: int = 0) -> None:
        """Count answers, and how many of them are to part of an input."""
        self._truncated.inc(truncated)
        for decision in decisions:
            self._labels.labels("none" if decision.reason == "out_of_scope" else decision.best).inc()
            if decision.reason:
                self._abstained.labels(decision.reason).inc()

    def exposition(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
