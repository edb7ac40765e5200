"""OpenTelemetry: spans of requests, for those who install the extra `otel` and say where to send them."""

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger("asif_serve")
# What the framework notes of a request that the caller wrote.
_CALLERS_WORDS = ("url.path", "url.query", "http.request.method_original", "server.address")


def tracer_provider() -> "TracerProvider | None":
    """What sends spans to OTEL_EXPORTER_OTLP_ENDPOINT, over HTTP; None where that is not set or the extra is missing.

    The other OTEL_ variables of the SDK hold: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and so on.
    """
    if not _asked():
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but no span is sent: install the extra, asif[otel].")
        return None

    class Redaction(SpanProcessor):
        """Blots out what a caller wrote; the route's template says where a request went."""

        def on_start(self, span: Span, parent_context: object = None) -> None:
            noted = span.attributes or {}
            span.set_attributes({name: "-" for name in _CALLERS_WORDS if name in noted})

        def on_end(self, span: ReadableSpan) -> None:
            pass

    resource = Resource.create()
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "asif"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(Redaction())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _asked() -> bool:
    values = os.environ
    return (
        bool(values.get("OTEL_EXPORTER_OTLP_ENDPOINT") or values.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        and values.get("OTEL_SDK_DISABLED", "").lower() != "true"
        and values.get("OTEL_TRACES_EXPORTER", "otlp") != "none"
    )
