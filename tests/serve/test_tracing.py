import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asif_serve.app import create_app
from asif_serve.settings import Settings
from asif_serve.tracing import tracer_provider

CANARY = "quetzalcoatlus-7f3a"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """Takes what an app sends, as a collector of OpenTelemetry would."""

    def __init__(self, address):
        self.address, self.bodies = address, []

    @property
    def spans(self):
        """All spans, with the name of the service that sent them."""
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"]
                found += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        return found


def facts(span):
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


@pytest.fixture
def collector(monkeypatch):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            found.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.address)
    yield found
    server.shutdown()
    server.server_close()


def ask(fake, text="You feel lost.", path="/v1/classify?x=1", **headers):
    """Ask once, and stop the app, which sends what it has."""
    with TestClient(create_app(Settings(api_keys="notes:a-key"), fake)) as client:
        return client.post(
            path, json={"utterances": [{"text": text}] * 10}, headers={"Authorization": "Bearer a-key"} | headers
        )


def test_a_request_is_a_span_with_its_parts_below(fake, collector):
    answer = ask(fake, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    assert {service for service, _ in collector.spans} == {"asif"}
    spans = {span.name: span for _, span in collector.spans}
    request = spans["POST /v1/classify"]
    assert request.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    found = facts(request)
    assert (found["http.route"], found["http.response.status_code"]) == ("/v1/classify", 200)
    assert (found["asif.key"], found["asif.rows"]) == ("notes", 10)
    assert found["asif.request_id"] == answer.headers["x-request-id"]
    parts = [span for _, span in collector.spans if span.parent_span_id == request.span_id]
    assert {part.name for part in parts} >= {"fastapi.endpoint", "fastapi.serialization"}
    for part in parts:
        assert part.trace_id == request.trace_id
        assert request.start_time_unix_nano <= part.start_time_unix_nano <= part.end_time_unix_nano


def test_the_log_names_the_trace(fake, collector, caplog):
    caplog.set_level("INFO", logger="asif_serve")
    ask(fake, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    [line] = [record.facts for record in caplog.records if record.name == "asif_serve"]
    assert line["trace_id"] == TRACE


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("path", ["/v1/classify", f"/v1/classify?{CANARY}={CANARY}", f"/{CANARY}"])
def test_no_span_holds_what_was_sent(fake, collector, path, crash):
    fake.crash = crash
    ask(fake, text=CANARY, path=path, host=f"{CANARY}.example", baggage=f"note={CANARY}")
    assert collector.spans
    assert not [body for body in collector.bodies if CANARY.encode() in body]


@pytest.mark.parametrize(
    "sent", [f'{{"utterances": [{{"text": "{CANARY}"', f'{{"utterances": "{CANARY}", "{CANARY}": 1}}']
)
def test_no_span_holds_what_was_refused(fake, collector, sent):
    with TestClient(create_app(Settings(), fake)) as client:
        for method in ("POST", CANARY.upper()):
            answer = client.request(method, "/v1/classify", content=sent, headers={"Content-Type": "application/json"})
            assert answer.status_code in (405, 422)
    assert len([span for _, span in collector.spans if not span.parent_span_id]) == 2
    assert not [body for body in collector.bodies if CANARY.encode() in body.lower()]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "asif"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
        {"FASTAPI_OTEL_AUTO_CONFIGURE": "true"},
    ],
)
def test_nothing_is_traced_unless_asked_for(monkeypatch, environment, caplog, fake):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert tracer_provider() is None
    caplog.set_level("INFO", logger="asif_serve")
    ask(fake)
    [line] = [record.facts for record in caplog.records if record.name == "asif_serve"]
    assert "trace_id" not in line


def test_the_names_of_the_environment_hold(monkeypatch, fake, collector):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "asif-of-ward-3")
    ask(fake)
    assert {service for service, _ in collector.spans} == {"asif-of-ward-3"}


def test_without_the_extra_it_says_so_and_serves_on(monkeypatch, fake, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert tracer_provider() is None
    assert "asif[otel]" in caplog.text
    assert ask(fake).status_code == 200
