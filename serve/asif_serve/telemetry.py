"""Prometheus metrics. None of them carries a word of an utterance.

With several worker processes, prometheus_client keeps the numbers of each in files of the folder that
PROMETHEUS_MULTIPROC_DIR names, and whichever worker is asked adds them up.
"""

import os
from collections import Counter as Count
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from asif_data.model_dir import Manifest, Reference
from asif_serve.decision import Decision
from asif_serve.drift import Window, divergence, recent

_WINDOW = "asif_window"
# Told only while they hold: a worker cannot take a sample back from its file, only set it to 0.
_FLAGS = {"asif_model_info", "asif_model_refused"}

# A short row takes milliseconds: finer than the library's own.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
Stage = Literal["tokenization", "inference"]


class Telemetry(Collector):
    """The metrics of one app, in a registry of its own."""

    def __init__(self, pending: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
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
                "asif_tokenization_seconds",
                "Time to encode the rows of one engine call.",
                registry=self.registry,
                buckets=_SECONDS,
            ),
            "inference": Histogram(
                "asif_inference_seconds",
                "Time of one engine call.",
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
        self._swaps = Counter("asif_model_swaps", "Models put into service after the first.", registry=self.registry)
        self._info = self._gauge("asif_model_info", "The model in service.", "livemax", "version")
        self._refused = self._gauge(
            "asif_model_refused",
            "1 while the link names a model that cannot be served; the log says why.",
            "livemax",
            "version",
        )
        self._queue = self._gauge("asif_queue_tokens", "Tokens waiting or under way, about.", "livesum")
        self._sums = self._gauge(_WINDOW, "Sums over the last answers.", "livesum", "kind", "name")
        self._pending = pending
        self._version: str | None = None
        self._reference: Reference | None = None
        self._window = Window()

    def _gauge(self, name: str, about: str, mode: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self.registry, multiprocess_mode=mode)  # pyright: ignore[reportArgumentType]

    def model(self, manifest: Manifest) -> None:
        """Say which model is in service; what is compared with its reference begins anew."""
        if self._version:
            self._info.labels(self._version).set(0)
            self._swaps.inc()
        for key in self._window.sums:
            self._sums.labels(*key).set(0)
        self._version, self._reference, self._window = manifest.version, manifest.reference, Window()
        self._info.labels(manifest.version).set(1)

    def refused(self, version: str, so: bool) -> None:
        """Say whether the model that the link names is refused."""
        self._refused.labels(version).set(int(so))

    def request(self, path: str, status: int, seconds: float, rows: int = 0, key: str = "") -> None:
        """Count a request; `path` is a route's template, never what the caller sent, and `key` the name of its key."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        if rows and status == 200:
            self._rows.labels(key).inc(rows)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Time a stage of the work on the rows of one engine call."""
        start = perf_counter()
        yield
        self._stages[stage].observe(perf_counter() - start)

    def decisions(self, decisions: Sequence[Decision], truncated: int = 0) -> None:
        """Count answers, and how many of them are to part of an input."""
        self._truncated.inc(truncated)
        labels = Count("none" if decision.reason == "out_of_scope" else decision.best for decision in decisions)
        for label, count in labels.items():
            self._labels.labels(label).inc(count)
        for reason, count in Count(decision.reason for decision in decisions if decision.reason).items():
            self._abstained.labels(reason).inc(count)
        self._window.add(decisions)

    def refresh(self) -> None:
        """Bring up to date what is not counted as it happens, for the worker that is asked next."""
        self._queue.set(self._pending())
        for key, value in self._window.sums.items():
            self._sums.labels(*key).set(value)

    def exposition(self) -> bytes:
        """Prometheus text format, of all workers together."""
        self.refresh()
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """All metrics, with what follows from the window in the place of its sums."""
        several = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        for family in MultiProcessCollector(None).collect() if several else self.registry.collect():
            if family.name == _WINDOW:
                sums = {(sample.labels["kind"], sample.labels["name"]): sample.value for sample in family.samples}
                yield from _drift(recent(sums), self._reference)
                continue
            if family.name in _FLAGS:
                family.samples = [sample for sample in family.samples if sample.value]
            yield family


def _drift(now: Reference | None, before: Reference | None) -> Iterator[Metric]:
    """What the last answers look like, beside what the validation split's did when the model was made."""
    told = [("recent", now, "about the last 1,000 answers"), ("reference", before, "the validation split's answers")]
    for prefix, found, what in told:
        if found is None:
            continue
        yield _value(f"asif_{prefix}_rows", f"How many rows {what} are.", found.rows)
        shares = GaugeMetricFamily(f"asif_{prefix}_share", f"Share of {what}, by label or reason.", labels=["outcome"])
        for name, share in found.outcomes.items():
            shares.add_metric([name], share)
        yield shares
        yield _value(f"asif_{prefix}_confidence", f"Mean of the highest score over {what}.", found.confidence)
        yield _value(f"asif_{prefix}_in_scope", f"Mean of in_scope over {what}.", found.in_scope)
    if now and before:
        about = (
            "Jensen-Shannon divergence of recent shares from the reference's, 0 to 1; read it with asif_recent_rows."
        )
        yield _value("asif_drift", about, divergence(now, before))


def _value(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)
