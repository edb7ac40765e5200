import http.client
import json
import logging
import re
import urllib.parse

import pytest
from fastapi.testclient import TestClient

from asif_serve.app import create_app
from asif_serve.settings import Settings

CANARY = "quetzalcoatlus-7f3a"
JSON = {"Content-Type": "application/json"}
FINE = {"utterances": [{"text": "You feel lost."}]}

# Keys


@pytest.fixture
def locked(make_client):
    return make_client(api_keys="first-key, second-key")


CLOSED = [("POST", "/v1/classify"), ("POST", "/predict"), ("GET", "/v1/model"), ("GET", "/metrics"), ("GET", "/none")]


@pytest.mark.parametrize(("method", "path"), CLOSED)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer first",
        "Bearer first-key2",
        "first-key",
        "Basic first-key",
    ],
)
def test_without_a_valid_key_there_is_only_401(locked, problem, method, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    response = locked.request(method, path, headers=headers)
    problem(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("authorization", ["Bearer first-key", "Bearer second-key", "bearer first-key"])
def test_each_key_opens(locked, authorization):
    headers = {"Authorization": authorization}
    assert locked.post("/v1/classify", json=FINE, headers=headers).status_code == 200
    assert locked.post("/predict", json={"inputs": "You feel lost."}, headers=headers).status_code == 200
    assert locked.get("/v1/model", headers=headers).status_code == 200
    assert locked.get("/metrics", headers=headers).status_code == 200


def test_a_key_may_hold_any_characters(make_client, problem):
    client = make_client(api_keys="schlüssel")
    sent = {"Authorization": "Bearer schlüssel".encode()}
    assert client.get("/v1/model", headers=sent).status_code == 200
    problem(client.get("/v1/model", headers={"Authorization": b"Bearer schl\xff"}), 401)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json"])
def test_health_and_documentation_need_no_key(locked, path):
    assert locked.get(path).status_code == 200


def test_without_keys_none_is_asked_for(client):
    assert client.get("/v1/model", headers={"Authorization": "Bearer anything"}).status_code == 200


# Size of the body


def of_size(size):
    """A request body of exactly this many bytes."""
    return json.dumps({"inputs": "You" + "." * (size - 17)}).encode()


@pytest.mark.parametrize("path", ["/v1/classify", "/predict"])
def test_a_body_that_says_it_is_too_large_is_413_before_it_is_read(make_client, problem, path):
    def never():
        raise AssertionError("the body was read")
        yield

    response = make_client(max_body=100).post(path, content=never(), headers=JSON | {"Content-Length": "101"})
    assert "100 bytes" in problem(response, 413)["detail"]


def test_a_body_of_the_limit_is_answered(make_client, problem):
    client, body = make_client(max_body=100), of_size(100)
    assert len(body) == 100
    assert client.post("/predict", content=body, headers=JSON).status_code == 200
    problem(client.post("/predict", content=of_size(101), headers=JSON), 413)


def streamed(body, size=40):
    yield from (body[i : i + size] for i in range(0, len(body), size))


def test_a_streamed_body_within_the_limit_is_answered(make_client):
    response = make_client(max_body=100).post("/predict", content=streamed(of_size(100)), headers=JSON)
    assert response.status_code == 200


def test_a_streamed_body_is_stopped_when_it_grows_too_large(make_client, problem):
    problem(make_client(max_body=100).post("/predict", content=streamed(of_size(200)), headers=JSON), 413)


def test_a_chunked_body_on_a_real_socket_is_stopped_when_it_grows_too_large(listen, fake):
    with listen(create_app(Settings(max_body=100), fake)) as address:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc, timeout=20)
        connection.request("POST", "/predict", body=streamed(of_size(200)), headers=JSON, encode_chunked=True)
        response = connection.getresponse()
        body = json.loads(response.read())
        connection.close()
    assert (response.status, body["status"]) == (413, 413)
    assert response.headers["Content-Type"] == "application/problem+json"


# Headers


@pytest.mark.parametrize(("path", "status"), [("/health/live", 200), ("/nothing", 404), ("/v1/classify", 405)])
def test_every_answer_has_a_request_id_and_is_neither_sniffed_nor_stored(client, path, status):
    answers = [client.get(path) for _ in range(2)]
    for answer in answers:
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answers[0].headers["x-request-id"] != answers[1].headers["x-request-id"]


# Crashes


def test_a_crash_is_a_500_whose_id_is_in_the_log(client, fake, problem, caplog):
    fake.crash = True
    response = client.post("/v1/classify", json=FINE)
    problem(response, 500)
    [record] = [record for record in caplog.records if record.name == "asif_serve"]
    assert record.levelno == logging.ERROR
    assert response.headers["x-request-id"] in record.getMessage()
    assert "RuntimeError" in record.getMessage()
    assert "in encoder" in record.getMessage()


def test_after_a_crash_the_server_answers_on(client, fake, problem):
    fake.crash = True
    for _ in range(3):
        problem(client.post("/predict", json={"inputs": ["You"] * 20}), 500)
    fake.crash = False
    assert client.post("/predict", json={"inputs": "You"}).status_code == 200
    assert "asif_queue_tokens 0.0" in client.get("/metrics").text


# Nothing that a caller sends is repeated


def utterance(**fields):
    return "POST", "/v1/classify", {"utterances": [{"text": "You feel lost."} | fields]}


def classify(**fields):
    return "POST", "/v1/classify", FINE | fields


def predict(inputs, **fields):
    return "POST", "/predict", {"inputs": inputs} | fields


PLACES = {
    "text": utterance(text=f"You {CANARY} feel"),
    "text alone": utterance(text=CANARY),
    "long text": utterance(text=f"{CANARY} " * 5000),
    "context": utterance(context=f"He {CANARY} left"),
    "context that is a list": utterance(context=[CANARY]),
    "text that is an object": utterance(text={CANARY: CANARY}),
    "id": utterance(id=CANARY),
    "long id": utterance(id=CANARY * 20),
    "id that is a list": utterance(id=[CANARY]),
    "unknown field of an utterance": utterance(**{CANARY: 1}),
    "value of an unknown field": utterance(note=CANARY),
    "unknown field": classify(**{CANARY: {CANARY: CANARY}}),
    "explain": classify(explain=CANARY),
    "utterances": classify(utterances=CANARY),
    "an utterance": classify(utterances=[CANARY]),
    "too many": classify(utterances=[{"text": CANARY}] * 300),
    "explained": classify(utterances=[{"text": f"You feel, {CANARY}, lost."}], explain=True),
    "too many explained": classify(utterances=[{"text": CANARY}] * 40, explain=True),
    "a whole body": ("POST", "/v1/classify", CANARY),
    "inputs": predict(CANARY),
    "inputs in a list": predict(["You", CANARY]),
    "text_pair": predict({"text": "You", "text_pair": CANARY}),
    "unknown field of an input": predict({"text": "You", CANARY: 1}),
    "input that is an object": predict([{CANARY: CANARY}]),
    "top_k": predict("You", parameters={"top_k": CANARY}),
    "function_to_apply": predict("You", parameters={"function_to_apply": CANARY}),
    "unknown parameter": predict("You", parameters={CANARY: 1}),
    "unknown option": predict("You", **{CANARY: 1}),
    "broken JSON": ("POST", "/v1/classify", f'{{"utterances": [{{"text": "{CANARY}"'.encode()),
    "JSON with a word": ("POST", "/predict", f'{{"inputs": {CANARY}}}'.encode()),
    "bytes": ("POST", "/predict", f'{{"inputs": "{CANARY}\xff'.encode("latin-1")),
    "path": ("GET", f"/{CANARY}", None),
    "query": ("GET", f"/v1/model?{CANARY}={CANARY}", None),
    "method": (CANARY.upper(), "/predict", None),
}


@pytest.fixture
def silent(caplog, capfd):
    """Check that the canary is in no log and was not printed."""
    caplog.set_level(0)
    for own in ("httpx", "httpx2", "httpcore", "httpcore2"):  # the test's own client logs the address that it asks for
        caplog.set_level(logging.CRITICAL, logger=own)

    def check():
        lines = [caplog.handler.format(record) for record in caplog.records]
        printed = capfd.readouterr()
        assert CANARY not in "\n".join([*lines, printed.out, printed.err]).lower()

    return check


def send(client, method, path, body, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.request(method, path, content=content, headers=JSON | headers)


def seen_in(response):
    return f"{response.headers}\n{response.text}".lower()


@pytest.mark.parametrize("place", PLACES)
def test_what_was_sent_shows_nowhere(client, silent, place):
    response = send(client, *PLACES[place])
    assert response.status_code < 500
    if place != "id":  # an id is given back
        assert CANARY not in seen_in(response)
    assert CANARY not in client.get("/metrics").text.lower()
    silent()


@pytest.mark.parametrize("place", PLACES)
def test_what_was_sent_shows_nowhere_when_the_key_is_wrong(locked, problem, silent, place):
    response = send(locked, *PLACES[place], Authorization=f"Bearer {CANARY}")
    problem(response, 401)
    assert CANARY not in seen_in(response)
    silent()


CRASHING = ["text", "text alone", "context", "id", "explained", "inputs", "inputs in a list", "text_pair"]


@pytest.mark.parametrize("place", CRASHING)
@pytest.mark.parametrize("copies", [1, 20])
def test_what_was_sent_shows_nowhere_when_the_predictor_crashes(client, fake, problem, silent, place, copies):
    method, path, body = PLACES[place]
    if path == "/v1/classify":
        body = body | {"utterances": body["utterances"] * copies}
    else:
        body = body | {"inputs": [body["inputs"]] * copies if isinstance(body["inputs"], str) else body["inputs"]}
    fake.crash = True
    response = send(client, method, path, body)
    problem(response, 500)
    assert CANARY not in seen_in(response)
    assert CANARY not in client.get("/metrics").text
    silent()


def test_what_was_sent_shows_nowhere_when_explaining_crashes(make_fake, make_client, problem, silent):
    class Crashing(type(make_fake())):
        def encoder(self, utterances):
            if any(u.text != "You feel, " + CANARY + ", lost." for u in utterances):
                raise RuntimeError(f"cannot explain {utterances}")
            return super().encoder(utterances)

    predictor = make_fake()
    predictor.__class__ = Crashing
    response = send(make_client(predictor), *PLACES["explained"])
    problem(response, 500)
    assert CANARY not in seen_in(response)
    silent()


def test_what_was_sent_shows_nowhere_when_there_is_no_model(make_client, problem, silent):
    response = send(make_client(None), *PLACES["text"])
    problem(response, 503)
    assert CANARY not in seen_in(response)
    silent()


def test_what_was_sent_shows_nowhere_when_the_body_is_too_large(make_client, problem, silent):
    response = send(make_client(max_body=10), *PLACES["text"])
    problem(response, 413)
    assert CANARY not in seen_in(response)
    silent()


def test_a_crash_does_not_reach_the_server_around_the_app(fake, silent):
    fake.crash = True
    with TestClient(create_app(Settings(), fake), raise_server_exceptions=True) as client:
        assert send(client, *PLACES["text"]).status_code == 500
    silent()
