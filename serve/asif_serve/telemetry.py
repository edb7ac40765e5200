"""Prometheus metrics. None of them carries a word of an utterance."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from asif_serve.decision import Decision


class Telemetry:
    """The metrics of one app, in a registry of its own."""

    def __init__(self, pending: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("asif_requests", "Requests answered.", ["path", "status"], registry=self.registry)
        self._seconds = Histogram(
            "asif_request_seconds", "Time from request to answer.", ["path"], registry=self.registry
        )
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

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request; `path` is a route's template, never what the caller sent."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def decisions(self, decisions: Sequence[Decision]) -> None:
        """Count answers."""
        for decision in decisions:
            self._labels.labels("none" if decision.reason == "out_of_scope" else decision.best).inc()
            if decision.reason:
                self._abstained.labels(decision.reason).inc()

    def exposition(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
