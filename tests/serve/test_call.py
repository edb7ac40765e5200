import asyncio
import json
import logging
import re

import pytest

from asif_serve.call import Call, Recorder, spend
from asif_serve.logs import JsonLines
from asif_serve.rate import Bucket
from asif_serve.telemetry import Telemetry

FINE = {"utterances": [{"text": "You feel lost."}, {"text": "So sorry."}]}


@pytest.fixture
def lines(caplog):
    """What the log holds so far, read as the JSON that it is written as."""
    caplog.set_level(logging.DEBUG, logger="asif_serve")

    def read():
        records = [record for record in caplog.records if record.name == "asif_serve"]
        return [json.loads(JsonLines().format(record)) for record in records]

    return read


# Headers


@pytest.mark.parametrize(
    ("path", "status"), [("/health/live", 200), ("/nothing", 404), ("/v1/classify", 405), ("/docs", 200)]
)
def test_every_answer_has_an_id_and_is_neither_sniffed_nor_stored_nor_framed(client, path, status):
    answers = [client.get(path) for _ in range(2)]
    for answer in answers:
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} <= set(
            policy
        )
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answers[0].headers["x-request-id"] != answers[1].headers["x-request-id"]


@pytest.mark.parametrize(
    "settings", [{"max_body": 1}, {"api_keys": "a-key"}, {"rate": 1}, {"cors_origins": "https://a.example"}]
)
def test_refusals_have_them_too(make_client, settings):
    client = make_client(**settings)
    client.post("/v1/classify", json=FINE)
    answer = client.post("/v1/classify", json=FINE, headers={"X-Request-Id": "mine"})
    assert answer.status_code in (200, 401, 413, 429)
    assert answer.headers["x-request-id"] == "mine"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_crash_has_them_too(client, fake, problem):
    fake.crash = True
    answer = client.post("/v1/classify", json=FINE, headers={"X-Request-Id": "mine"})
    problem(answer, 500)
    assert answer.headers["x-request-id"] == "mine"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("given", ["a", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "Trace_1.2-3", "x" * 64])
def test_a_safe_request_id_is_kept(client, lines, given):
    assert client.get("/v1/model", headers={"X-Request-Id": given}).headers["x-request-id"] == given
    assert [line["request_id"] for line in lines()] == [given]


@pytest.mark.parametrize("given", ["", " ", "x" * 65, "you feel lost", "a,b", "é".encode(), "a\tb", '"', "{}", "<b>"])
def test_another_one_is_replaced(client, lines, given):
    found = client.get("/v1/model", headers={"X-Request-Id": given}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", found)
    assert [line["request_id"] for line in lines()] == [found]


# Lines of the log


def test_an_answer_is_one_line(make_client, lines):
    client = make_client(api_keys="notes:a-key")
    answer = client.post("/v1/classify?x=1", json=FINE, headers={"Authorization": "Bearer a-key"})
    [line] = lines()
    assert 0 < line.pop("ms") < 10_000
    assert line.pop("time")
    assert line == {
        "level": "info",
        "logger": "asif_serve",
        "message": "request",
        "method": "POST",
        "route": "/v1/classify",
        "status": 200,
        "request_id": answer.headers["x-request-id"],
        "rows": 2,
        "key": "notes",
    }


def test_a_key_without_a_name_is_called_by_its_place(make_client, lines):
    client = make_client(api_keys="first,second")
    client.get("/v1/model", headers={"Authorization": "Bearer second"})
    client.get("/v1/model", headers={"Authorization": "Bearer wrong"})
    assert [(line["status"], line.get("key")) for line in lines()] == [(200, "key-2"), (401, None)]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/predict", {"inputs": "You"}, ("POST", "/predict", 200, 1)),
        ("POST", "/predict", {}, ("POST", "/predict", 422, 0)),
        ("POST", "/v1/classify", {"utterances": [{"text": "You"}] * 300}, ("POST", "/v1/classify", 413, 0)),
        ("GET", "/somewhere/else", None, ("GET", "other", 404, 0)),
        ("BREW", "/predict", None, ("other", "/predict", 405, 0)),
    ],
)
def test_routes_and_methods_are_told_by_our_own_names(client, lines, method, path, body, expected):
    client.request(method, path, json=body)
    [line] = lines()
    assert (line["method"], line["route"], line["status"], line["rows"]) == expected


@pytest.mark.parametrize(
    ("path", "route"), [("/predict", "/predict"), ("/predict/x", "other"), ("/docs/none", "other")]
)
def test_a_route_is_told_also_where_the_request_was_refused_before_it_was_looked_up(make_client, lines, path, route):
    client = make_client(api_keys="a-key")
    assert client.post(path, json={}).status_code == (401 if path.startswith("/predict") else 404)
    assert [line["route"] for line in lines()] == [route]


def test_health_and_metrics_are_told_at_debug_only_while_all_is_well(make_client, lines):
    client = make_client(None)
    for path in ("/health/live", "/metrics", "/health/ready"):
        client.get(path)
    assert [(line["route"], line["level"]) for line in lines()] == [
        ("/health/live", "debug"),
        ("/metrics", "debug"),
        ("/health/ready", "info"),
    ]


def test_a_crash_is_a_line_with_its_place_and_a_line_of_the_request(client, fake, lines):
    fake.crash = True
    answer = client.post("/v1/classify", json=FINE)
    crash, request = lines()
    assert crash["level"] == "error"
    assert answer.headers["x-request-id"] in crash["message"] and "RuntimeError" in crash["message"]
    assert (request["status"], request["rows"]) == (500, 2)


def test_rows_are_counted_by_the_name_of_the_key(make_client):
    client = make_client(api_keys="notes:a,notes:b,other:c")
    for key, rows in (("a", 1), ("b", 2), ("c", 4)):
        client.post("/predict", json={"inputs": ["You"] * rows}, headers={"Authorization": f"Bearer {key}"})
    text = client.get("/metrics", headers={"Authorization": "Bearer a"}).text
    assert 'asif_rows_total{key="notes"} 3.0' in text
    assert 'asif_rows_total{key="other"} 4.0' in text


# Its parts


def test_outside_a_request_nothing_is_spent():
    spend(5, rows=5)  # no error


def test_what_is_no_http_request_passes():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    async def nothing(*_):
        return {}

    recorder = Recorder(app, Telemetry(lambda: 0))
    asyncio.run(recorder({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan"]


@pytest.mark.parametrize(("status", "cost"), [(200, 100), (307, 100), (499, 100), (503, 100), (500, 4)])
def test_a_crash_costs_little_and_an_answer_that_did_not_come_in_time_does_not(status, cost):
    bucket = Bucket(200, clock=lambda: 0.0)
    bucket.take(100)
    Call("id", bucket=bucket, paid=100).settle(status)
    bucket.take(199 - cost)
    assert bucket.wait() == 0
    bucket.take(1)
    assert bucket.wait() > 0
