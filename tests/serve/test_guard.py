import gzip
import hmac
import http.client
import json
import logging
import time
import urllib.parse
import zlib

import pytest
from fastapi.testclient import TestClient

from asif_serve import rate
from asif_serve.app import create_app
from asif_serve.rate import Bucket
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


def test_names_are_not_keys(make_client, problem):
    client = make_client(api_keys="notes:the-key,plain-key")
    for key, status in (("the-key", 200), ("plain-key", 200)):
        assert client.get("/v1/model", headers={"Authorization": f"Bearer {key}"}).status_code == status
    for key in ("notes", "notes:the-key", "key-1", "key-2"):
        problem(client.get("/v1/model", headers={"Authorization": f"Bearer {key}"}), 401)


def test_keys_are_compared_as_hashes_in_constant_time(make_client, monkeypatch):
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append((one, other)) or one == other)
    client = make_client(api_keys="first,second-and-longer,third")
    for key in ("first", "f", "wrong" * 100):
        client.get("/v1/model", headers={"Authorization": f"Bearer {key}"})
    assert len(compared) == 9  # each key, also after a match
    assert {len(side) for pair in compared for side in pair} == {32}


@pytest.mark.parametrize(
    "path", ["/docs/start.js", "/docs/assets/swagger-ui.css", "/health/live", "/health/ready", "/docs", "/openapi.json"]
)
def test_health_and_documentation_need_no_key(locked, path):
    assert locked.get(path).status_code == 200


def test_all_else_that_is_served_asks_for_a_key(locked):
    """Also what is added later: it is closed unless it is named here."""
    routes = [(path, method) for path, operations in locked.app.openapi()["paths"].items() for method in operations]
    served = {path for path, _ in routes} | {route.path for route in locked.app.routes if hasattr(route, "path")}
    open_paths = {path for path in served if locked.get(path).status_code != 401}
    assert open_paths == {
        "/",
        "/docs",
        "/docs/start.js",
        "/docs/assets",
        "/openapi.json",
        "/health/live",
        "/health/ready",
    }
    assert {locked.request(method, path).status_code for path, method in routes if path not in open_paths} == {401}


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


# Kind of the body


@pytest.mark.parametrize("path", ["/v1/classify", "/predict"])
@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", bytes), ("gzip, identity", bytes)],
)
def test_a_packed_body_is_415_before_it_is_unpacked(client, problem, path, encoding, pack):
    body = pack(json.dumps(FINE).encode())
    answer = client.post(path, content=body, headers=JSON | {"Content-Encoding": encoding})
    assert "Content-Encoding" in problem(answer, 415)["detail"]


KINDS = ["application/json", "APPLICATION/JSON; charset=utf-8", "application/vnd.api+json"]
OTHER_KINDS = [
    "",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "json",
]


@pytest.mark.parametrize(("kind", "status"), [(k, 200) for k in KINDS] + [(k, 415) for k in OTHER_KINDS])
def test_only_json_is_read(client, kind, status):
    answer = client.post("/predict", content=of_size(100), headers={"Content-Type": kind})
    assert answer.status_code == status


def test_a_streamed_body_of_another_kind_is_415(client, problem):
    problem(client.post("/predict", content=streamed(of_size(100)), headers={"Content-Type": "text/plain"}), 415)


def test_a_body_of_another_kind_is_not_read(client, problem):
    def never():
        raise AssertionError("the body was read")
        yield

    problem(client.post("/predict", content=never(), headers={"Content-Type": "text/plain"}), 415)


# Bodies made to cost much


def filled(before, unit, after, size=1_990_000):
    return (before + unit * ((size - len(before) - len(after)) // len(unit)) + after).encode()


COSTLY = {
    "rows": ("/v1/classify", filled('{"utterances":[', '{"text":"a"},', '{"text":"a"}]}'), 413),
    "rows without text": ("/v1/classify", filled('{"utterances":[', "{},", "{}]}"), 413),
    "rows that are numbers": ("/v1/classify", filled('{"utterances":[', "1,", "1]}"), 413),
    "inputs": ("/predict", filled('{"inputs":[', '"a",', '"a"]}'), 413),
    "inputs that are numbers": ("/predict", filled('{"inputs":[', "1,", "1]}"), 413),
    "inputs without text": ("/predict", filled('{"inputs":[', "{},", "{}]}"), 413),
    "unknown fields": ("/predict", ("{" + ",".join(f'"{i}":1' for i in range(150_000)) + "}").encode(), 422),
    "unknown fields of a row": (
        "/v1/classify",
        ('{"utterances":[{' + ",".join(f'"{i}":1' for i in range(150_000)) + "}]}").encode(),
        422,
    ),
    "lists in lists": ("/predict", b'{"inputs":' + b"[" * 900_000 + b"]" * 900_000 + b"}", 422),
    "lists without end": ("/predict", b"[" * 1_990_000, 422),
    "objects in objects": ("/predict", b'{"inputs":' * 190_000, 422),
    "one long number": ("/predict", b'{"inputs":' + b"1" * 1_900_000 + b"}", 422),
    "one long text": ("/predict", filled('{"inputs":"', "x", '"}'), 413),
    "escapes": ("/predict", filled('{"inputs":"', "\\u0041", '"}'), 413),
    "spaces": ("/predict", filled("", " ", "{}"), 422),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_a_costly_body_is_refused_fast_and_in_few_words(client, problem, kind):
    path, body, status = COSTLY[kind]
    start = time.process_time()
    answer = client.post(path, content=body, headers=JSON)
    assert time.process_time() - start < 2  # without a limit on rows, some of these took a minute and gigabytes
    problem(answer, status)
    assert len(answer.content) < 20_000


def test_of_many_wrong_rows_a_hundred_are_named(make_client, problem):
    answer = make_client(max_rows=4096).post("/v1/classify", json={"utterances": [{}] * 4096})
    body = problem(answer, 422)
    assert [error["field"] for error in body["errors"]] == [f"utterances.{i}.text" for i in range(100)]
    assert "100 of 4096" in body["detail"]


# Pace


@pytest.fixture
def paced(make_client, monkeypatch):
    """Make clients for which no time passes, so that nothing comes back."""
    monkeypatch.setattr(rate, "Bucket", lambda per_minute, state: Bucket(per_minute, state, lambda: 0.0))
    return make_client


def ask(client, rows=1, key=None, text="You", **fields):
    """Ask about rows of four tokens each, or of another text."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return client.post("/v1/classify", json={"utterances": [{"text": text}] * rows} | fields, headers=headers)


def test_a_caller_who_is_too_fast_is_429_and_told_when_to_come_back(paced, problem):
    client = paced(rate=20)
    assert [ask(client).status_code for _ in range(5)] == [200] * 5
    answer = ask(client)
    assert "20 tokens a minute" in problem(answer, 429)["detail"]
    assert answer.headers["retry-after"] == "3"  # one of twenty a minute
    assert client.get("/v1/model").json()["limits"]["tokens_a_minute"] == 20
    problem(client.post("/predict", json={"inputs": "You"}), 429)


def test_after_a_while_a_caller_may_go_on(make_client):
    client = make_client(rate=600)
    assert ask(client, 151).status_code == 200
    assert ask(client).status_code == 429
    time.sleep(0.6)
    assert ask(client).status_code == 200


def test_each_key_has_its_own_pace_and_two_keys_of_a_name_share_one(paced):
    client = paced(api_keys="notes:old,notes:new,other:third", rate=16)
    assert ask(client, 3, "old").status_code == 200
    assert ask(client, 1, "new").status_code == 200
    assert ask(client, 1, "old").status_code == ask(client, 1, "new").status_code == 429
    assert ask(client, 1, "third").status_code == 200


def test_a_wrong_key_uses_up_nobody_s_pace(paced):
    client = paced(api_keys="a-key", rate=8)
    for _ in range(10):
        assert ask(client, 1, "wrong").status_code == 401
    assert ask(client, 2, "a-key").status_code == 200


def test_a_batch_is_answered_whole_and_paid_off_later(paced):
    client = paced(rate=60)
    assert ask(client, 200).status_code == 200
    answer = ask(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "741")  # 800 - 60 + 1 at one a second


@pytest.mark.parametrize(
    ("text", "fields", "cost"),
    [
        ("You", {}, 4),
        ("You feel lost.", {}, 7),
        ("You feel lost. " * 1000, {}, 50),  # the model reads no more
        ("You feel lost.", {"explain": True}, 35),  # the row, its clause, and the row without each of its three words
    ],
)
def test_a_row_costs_what_the_model_reads_of_it(paced, text, fields, cost):
    client = paced(rate=cost + 1)
    assert ask(client, text=text, **fields).status_code == 200
    assert [ask(client).status_code for _ in range(2)] == [200, 429]


def test_an_error_costs_as_much_as_the_shortest_row(paced):
    client = paced(rate=12, max_rows=100)
    assert client.post("/v1/classify", json={}).status_code == 422
    assert ask(client, 101).status_code == 413
    assert ask(client).status_code == 200
    assert ask(client).status_code == 429


def test_a_crash_costs_no_more_be_there_many_rows(paced, fake):
    client = paced(rate=40)
    fake.crash = True
    assert ask(client, 200).status_code == 500
    fake.crash = False
    assert ask(client, 9).status_code == 200
    assert ask(client).status_code == 429


def test_work_that_runs_out_of_time_is_paid_for(paced, fake):
    client = paced(rate=40, deadline=0.2)
    fake.gate.clear()
    assert ask(client, 20).status_code == 503
    fake.gate.set()
    assert ask(client).status_code == 429


def test_reading_is_not_paced(paced):
    client = paced(rate=1)
    assert ask(client).status_code == 200
    for path in ("/metrics", "/health/live", "/v1/model") * 3:
        assert client.get(path).status_code == 200


def test_without_a_rate_there_is_no_pace(client):
    assert {ask(client, 200).status_code for _ in range(30)} == {200}


# Other pages


PAGE = "https://notes.example"


def test_pages_of_others_are_not_let_in_unless_named(client):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert client.options("/v1/classify", headers=asked).status_code == 405
    answers = [
        client.post("/predict", json={"inputs": "You"}, headers={"Origin": PAGE}),
        client.options("/predict", headers=asked),
    ]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


def test_a_named_page_is_let_in_with_its_key_and_reads_errors_too(make_client):
    client = make_client(cors_origins=f"{PAGE}, https://other.example:8443", api_keys="a-key")
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    before = client.options("/v1/classify", headers=asked)
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, PAGE)
    for key, status in (("a-key", 200), ("wrong", 401)):
        answer = client.post("/v1/classify", json=FINE, headers={"Origin": PAGE, "Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
        assert "access-control-allow-credentials" not in answer.headers
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]


def test_a_page_that_is_not_named_is_not_let_in(make_client):
    client = make_client(cors_origins=PAGE)
    for origin in ("https://evil.example", "http://notes.example", "null", f"{PAGE}.evil.example"):
        answer = client.post("/v1/classify", json=FINE, headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert client.options("/v1/classify", headers=asked).status_code == 400


# Crashes


def test_a_crash_is_a_500_whose_id_is_in_the_log(client, fake, problem, caplog):
    fake.crash = True
    response = client.post("/v1/classify", json=FINE)
    problem(response, 500)
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
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
