import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import huggingface_hub
import pytest
from huggingface_hub import InferenceClient
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from asif_data.labels import CODEBOOK_LINES, LABELS
from asif_serve.app import create_app
from asif_serve.settings import Settings

TEXTS = ["You feel lost.", "I am so sorry.", "It was like that for me.", "Where do they live?", "Sorry, you feel lost."]
SPOKEN = [
    "Ok.",
    "It sounds like, in that moment, you felt utterly abandoned, lost and afraid.",
    "Oh, that's awful. You poor thing, how hard that must be.",
    "Yes, that happened to me too. It's the worst, isn't it?",
    "Shall we say Tuesday at ten? " * 20,
]
LABELLED = ["empathy", "sympathy", "over-identification", None, None]


def classify(client, *rows, **fields):
    """Results for rows that are texts or bodies."""
    utterances = [{"text": row} if isinstance(row, str) else row for row in rows]
    response = client.post("/v1/classify", json={"utterances": utterances} | fields)
    assert response.status_code == 200, response.text
    return response.json()["results"]


def predict(client, inputs, **parameters):
    body = {"inputs": inputs} | ({"parameters": parameters} if parameters else {})
    response = client.post("/predict", json=body)
    assert response.status_code == 200, response.text
    return response.json()


# /v1/classify


def test_an_answer_in_full(client):
    response = client.post("/v1/classify", json={"utterances": [{"text": "You feel lost.", "id": "7"}]})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["model", "results"]
    assert body["model"] == {"name": "fake", "version": "20260101-000000"}
    [result] = body["results"]
    scores, in_scope = result.pop("scores"), result.pop("in_scope")
    assert result == {
        "id": "7",
        "label": "empathy",
        "abstained": False,
        "reason": None,
        "prediction_set": ["empathy"],
        "truncated": False,
        "clauses": None,
        "highlights": None,
    }
    assert list(scores) == list(LABELS)
    assert scores["empathy"] > 0.99
    assert 0.99 < in_scope <= 1


def test_labels_reasons_and_sets(client):
    found = classify(client, *TEXTS)
    assert [result["label"] for result in found] == LABELLED
    assert [result["reason"] for result in found] == [None, None, None, "out_of_scope", "uncertain"]
    assert [result["abstained"] for result in found] == [False, False, False, True, True]
    assert [len(result["prediction_set"]) for result in found] == [1, 1, 1, 3, 2]
    assert found[4]["prediction_set"] == ["empathy", "sympathy"]
    assert found[3]["in_scope"] < 0.5 < found[4]["in_scope"]


def test_scores_sum_to_one_over_the_labels(client):
    for result in classify(client, *TEXTS):
        assert set(result["scores"]) == set(LABELS)
        assert sum(result["scores"].values()) == pytest.approx(1)


def test_many_rows_keep_their_order_and_their_ids(client):
    rows = [{"text": TEXTS[i % 5], "id": str(i)} for i in range(200)]
    found = classify(client, *rows)
    assert [result["id"] for result in found] == [str(i) for i in range(200)]
    assert [result["label"] for result in found] == [LABELLED[i % 5] for i in range(200)]


def test_ids_are_given_back_as_they_came(client):
    ids = [None, "", "same", "same", " a b ", "Ünï\u2003😀", "i" * 200]
    rows = [{"text": "You", "id": i} for i in ids] + [{"text": "You"}]
    assert [result["id"] for result in classify(client, *rows)] == [*ids, None]


def test_the_context_is_read(client):
    without, empty, beside = classify(
        client,
        "You feel lost.",
        {"text": "You feel lost.", "context": ""},
        {"text": "You feel lost.", "context": "Sorry?"},
    )
    assert without["scores"] == empty["scores"]
    assert beside["scores"]["sympathy"] > without["scores"]["sympathy"]


def test_a_row_s_answer_does_not_depend_on_the_others(client):
    together = classify(client, *TEXTS * 5)
    assert together == [classify(client, text)[0] for text in TEXTS] * 5


def test_cut_rows_say_so(client):
    short, long = classify(client, "You feel lost.", "You feel lost. " * 100)
    assert (short["truncated"], long["truncated"]) == (False, True)


def test_a_model_with_other_labels_serves_too(make_fake, make_client):
    client = make_client(make_fake(labels=("warm", "cold")))
    assert [result["label"] for result in classify(client, "You", "Sorry")] == ["warm", "cold"]
    assert client.get("/v1/model").json()["labels"] == [
        {"label": "warm", "codebook": None},
        {"label": "cold", "codebook": None},
    ]


@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_the_model_s_answer_does_not_depend_on_what_stands_beside_it(small_client, data):
    texts = st.sampled_from(SPOKEN) | st.text(min_size=1, max_size=300).filter(str.strip)
    rows = data.draw(
        st.lists(st.fixed_dictionaries({"text": texts, "context": st.none() | texts}), min_size=2, max_size=12)
    )
    together = classify(small_client, *rows)
    for row, beside in zip(rows, together, strict=True):
        [alone] = classify(small_client, row)
        assert (beside["label"], beside["reason"]) == (alone["label"], alone["reason"])
        assert beside["prediction_set"] == alone["prediction_set"]
        assert beside["scores"] == pytest.approx(alone["scores"], abs=1e-3)
        assert beside["in_scope"] == pytest.approx(alone["in_scope"], abs=1e-3)


@pytest.mark.parametrize(("over", "truncated"), [(0, False), (1, True), (500, True)])
@pytest.mark.parametrize(("context", "around"), [(None, 2), (20, 3)])  # tokens around one text and around two
def test_the_model_tells_of_each_row_whether_it_was_cut(small_client, over, truncated, context, around):
    room = small_client.get("/v1/model").json()["limits"]["tokens"] - around - (context or 0)
    row = {"text": "you " * room, "context": "you " * (context + over)} if context else {"text": "you " * (room + over)}
    found = classify(small_client, {"text": "you"}, row, {"text": "you"})
    assert [result["truncated"] for result in found] == [False, truncated, False]


def test_what_was_cut_counts_in_the_metrics(client):
    classify(client, "You feel lost.", "You feel lost. " * 100, "You feel lost. " * 200)
    assert metrics(client)["asif_truncated_total",] == 2


def test_an_address_in_a_text_is_not_asked(small_client, monkeypatch):
    def refuse(self, address):
        raise AssertionError(f"asked {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    texts = ["http://127.0.0.1:9/latest/meta-data", "file:///etc/passwd", "See https://example.org/x, you feel lost."]
    assert len(classify(small_client, *texts, explain=True)) == 3


# explain


@pytest.mark.parametrize("before", ["", "😀 \U0001d518 "])
def test_clauses_and_highlights_are_slices_of_the_text(client, before):
    text = before + "You feel lost, and I am sorry, but nobody came."
    [result] = classify(client, text, explain=True)
    assert [text[c["start"] : c["end"]] for c in result["clauses"]] == [
        before + "You feel lost,",
        "and I am sorry,",
        "but nobody came.",
    ]
    assert [clause["label"] for clause in result["clauses"]] == ["empathy", "sympathy", None]
    for clause in result["clauses"]:
        assert sum(clause["scores"].values()) == pytest.approx(1)
    assert result["clauses"][2]["in_scope"] < 0.5 < result["clauses"][0]["in_scope"]
    assert [text[h["start"] : h["end"]] for h in result["highlights"]] == ["You"]


def test_highlights_have_positive_weights_heaviest_first(small_client):
    text = "It sounds like you felt utterly abandoned, and nobody came to look for you."
    [result] = classify(small_client, text, explain=True)
    weights = [highlight["weight"] for highlight in result["highlights"]]
    assert weights == sorted(weights, reverse=True)
    assert 0 < len(weights) <= 5
    assert all(0 < weight <= 1 for weight in weights)


def test_explaining_does_not_change_the_answer(client):
    plain, explained = classify(client, *TEXTS), classify(client, *TEXTS, explain=True)
    for one, other in zip(plain, explained, strict=True):
        assert one["clauses"] is None and one["highlights"] is None
        assert isinstance(other["clauses"], list) and isinstance(other["highlights"], list)
        assert one == other | {"clauses": None, "highlights": None}


def test_many_rows_are_explained_in_their_order(client):
    texts = [f"{'word ' * i}you feel" for i in range(30)]
    found = classify(client, *texts, explain=True)
    assert [result["highlights"][0]["start"] for result in found] == [5 * i for i in range(30)]


# /predict


FORMS = [
    ("You feel lost.", ["You feel lost."]),
    (TEXTS, TEXTS),
    ({"text": "You feel lost.", "text_pair": "Sorry?"}, [{"text": "You feel lost.", "context": "Sorry?"}]),
    ({"text": "You feel lost."}, ["You feel lost."]),
    (
        [{"text": "You feel lost.", "text_pair": "Sorry?"}, {"text": "So sorry.", "text_pair": None}],
        [{"text": "You feel lost.", "context": "Sorry?"}, "So sorry."],
    ),
    (
        ["So sorry.", {"text": "You feel lost.", "text_pair": "Sorry?"}],
        ["So sorry.", {"text": "You feel lost.", "context": "Sorry?"}],
    ),
]


@pytest.mark.parametrize(("inputs", "rows"), FORMS)
def test_every_form_of_inputs_gives_a_list_of_lists_with_the_scores_of_classify(client, inputs, rows):
    found = predict(client, inputs)
    for ranked, result in zip(found, classify(client, *rows), strict=True):
        assert {one["label"]: one["score"] for one in ranked} == result["scores"]
        scores = [one["score"] for one in ranked]
        assert scores == sorted(scores, reverse=True)
        assert all(list(one) == ["label", "score"] for one in ranked)


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (2, 2), (3, 3), (99, 3), (None, 3)])
def test_top_k_gives_only_the_best(client, top_k, count):
    whole = predict(client, TEXTS)
    assert predict(client, TEXTS, top_k=top_k) == [ranked[:count] for ranked in whole]


def test_parameters_may_be_left_out_or_say_what_is_done_anyway(client):
    assert (
        client.post("/predict", json={"inputs": TEXTS, "parameters": None}).json()
        == predict(client, TEXTS, function_to_apply="softmax")
        == predict(client, TEXTS)
    )


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_alone_and_in_a_list_gets_the_same(client, text):
    alone = predict(client, text)
    assert len(alone) == 1
    assert predict(client, [text]) == predict(client, {"text": text}) == alone
    assert predict(client, [*TEXTS, text])[-1:] == alone


@pytest.fixture
def online(monkeypatch):
    """The client talks to this machine only, also where the hub is switched off."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.mark.usefixtures("online")
def test_the_inference_client_works_unchanged(listen, fake, client):
    with listen(create_app(Settings(api_keys="a-key"), fake)) as address:
        hub = InferenceClient(model=f"{address}/predict", token="a-key")
        for text in TEXTS:
            found = hub.text_classification(text)
            assert [{"label": one.label, "score": one.score} for one in found] == predict(client, text)[0]
        assert [one.label for one in hub.text_classification(TEXTS[1], top_k=1)] == ["sympathy"]
        assert len(hub.text_classification(TEXTS[1], function_to_apply="softmax")) == 3


# /v1/model, health, metrics, documentation


def test_the_model_is_described(client, fake):
    assert client.get("/v1/model").json() == {
        "name": "fake",
        "version": "20260101-000000",
        "labels": [{"label": label, "codebook": CODEBOOK_LINES[label]} for label in LABELS],
        "limits": {
            "tokens": 50,
            "utterances": 256,
            "explained_utterances": 32,
            "characters": 20000,
            "body_bytes": 2000000,
            "runs_a_minute": 0,
        },
        "thresholds": {"in_scope": 0.5, "confidence": 0.6, "prediction_set": 0.2},
        "form": "onnx/fake.onnx",
        "base_model": "fake-base",
        "manifest_sha256": fake.model.manifest_sha256,
        "corpus_sha256": "c" * 64,
        "metrics": None,
    }


def test_the_figures_are_those_of_this_very_model(client, fake):
    headline = {"macro_f1": {"value": 0.9, "low": 0.88, "high": 0.92}}
    report = fake.model.file("report.json")
    report.write_text(json.dumps({"manifest_sha256": fake.model.manifest_sha256, "headline": headline}))
    assert client.get("/v1/model").json()["metrics"] == headline
    report.write_text(json.dumps({"manifest_sha256": "another", "headline": headline}))
    assert client.get("/v1/model").json()["metrics"] is None


def test_the_small_model_is_described(small_client, small_predictor):
    manifest, found = small_predictor.model.manifest, small_client.get("/v1/model").json()
    assert (found["name"], found["version"]) == (manifest.name, manifest.version)
    assert [one["label"] for one in found["labels"]] == manifest.labels
    assert found["form"] == small_predictor.form.file
    assert found["manifest_sha256"] == small_predictor.model.manifest_sha256


def test_a_server_with_a_model_is_live_and_ready(client):
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_a_server_without_a_model_is_live_but_not_ready(make_client, problem):
    client = make_client(None)
    assert client.get("/health/live").status_code == 200
    answers = [
        client.get("/health/ready"),
        client.get("/v1/model"),
        client.post("/predict", json={"inputs": "You"}),
        client.post("/v1/classify", json={"utterances": [{"text": "You"}]}),
        client.post("/v1/classify", json={"utterances": [{"text": "You"}], "explain": True}),
    ]
    for answer in answers:
        problem(answer, 503)
        assert answer.headers["retry-after"] == "1"


def metrics(client):
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_metrics_count_requests_answers_and_the_model(client):
    assert client.get("/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    classify(client, *TEXTS)
    predict(client, "You feel lost.")
    client.post("/predict", json={})
    client.get("/nothing/here")
    found = metrics(client)
    assert found["asif_requests_total", "/v1/classify", "200"] == 1
    assert found["asif_requests_total", "/predict", "200"] == 1
    assert found["asif_requests_total", "/predict", "422"] == 1
    assert found["asif_requests_total", "other", "404"] == 1
    assert found["asif_request_seconds_count", "/predict"] == 2
    # The uncertain row counts as the label that was best, the one out of scope as none.
    assert {label: found["asif_labels_total", label] for label in (*LABELS, "none")} == {
        "empathy": 3,
        "sympathy": 1,
        "over-identification": 1,
        "none": 1,
    }
    assert found["asif_abstentions_total", "uncertain"] == 1
    assert found["asif_abstentions_total", "out_of_scope"] == 1
    assert found["asif_model_info", "20260101-000000"] == 1
    assert found["asif_queue_tokens",] == 0
    assert found["asif_recent_share", "empathy"] == pytest.approx(2 / 6, abs=0.01)
    assert found["asif_recent_share", "uncertain"] == pytest.approx(1 / 6, abs=0.01)
    assert found["asif_recent_rows",] == 6
    assert ("asif_drift",) not in found  # the fake model has no reference
    assert found["asif_rows_total", ""] == 6
    assert found["asif_tokenization_seconds_count",] == found["asif_inference_seconds_count",] == 6


# Limits


def test_more_rows_than_allowed_are_413(make_client, problem):
    client = make_client(max_rows=3)
    assert len(classify(client, *["You"] * 3)) == len(predict(client, ["You"] * 3)) == 3
    body = problem(client.post("/v1/classify", json={"utterances": [{"text": "You"}] * 4}), 413)
    assert "3 utterances" in body["detail"]
    problem(client.post("/predict", json={"inputs": ["You"] * 4}), 413)


def test_more_explained_rows_than_allowed_are_413(make_client, problem):
    client = make_client(max_explained=2)
    assert len(classify(client, "You", "You", explain=True)) == 2
    rows = {"utterances": [{"text": "You"}] * 3}
    assert "2 utterances" in problem(client.post("/v1/classify", json=rows | {"explain": True}), 413)["detail"]
    assert client.post("/v1/classify", json=rows).status_code == 200


@pytest.mark.parametrize("field", ["text", "context"])
def test_more_characters_than_allowed_are_413(make_client, problem, field):
    client = make_client(max_characters=20)
    row = {"text": "You"}
    classify(client, row | {field: "😀" * 20})
    body = problem(client.post("/v1/classify", json={"utterances": [row, row | {field: "x" * 21}]}), 413)
    assert "20 characters" in body["detail"]


@pytest.fixture
def busy(make_client, fake):
    """A client of a server that holds all the rows it can, of two requests, until the gate opens."""
    client = make_client(queue_tokens=8, threads=1)
    fake.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        body = {"utterances": [{"text": "You"}] * 10}
        works = [pool.submit(client.post, "/v1/classify", json=body) for _ in range(2)]
        until = time.monotonic() + 20
        while metrics(client)["asif_queue_tokens",] < 80:
            assert time.monotonic() < until
        yield client
        fake.gate.set()
        assert [work.result(20).status_code for work in works] == [200, 200]
    assert len(classify(client, *["You"] * 10)) == 10


@pytest.mark.parametrize("count", [1, 10, 200])
@pytest.mark.parametrize("explain", [False, True])
def test_a_full_queue_is_429_be_it_for_one_or_for_many(busy, problem, count, explain):
    count = min(count, 32) if explain else count
    answers = [
        busy.post("/v1/classify", json={"utterances": [{"text": "You"}] * count, "explain": explain}),
        busy.post("/predict", json={"inputs": ["You"] * count}),
    ]
    for answer in answers:
        problem(answer, 429)
        assert answer.headers["retry-after"] == "1"


def test_a_busy_server_still_says_how_it_is(busy):
    assert busy.get("/health/live").status_code == busy.get("/health/ready").status_code == 200
    assert metrics(busy)["asif_queue_tokens",] == 80
    assert busy.post("/v1/classify", json={}).status_code == 422


@pytest.mark.parametrize("explain", [False, True])
def test_work_that_is_not_begun_in_time_is_503(make_client, fake, problem, explain):
    client = make_client(deadline=0.2, threads=1)
    fake.gate.clear()
    # The first row is with the engine, which does not answer; the second is never begun.
    answer = client.post("/v1/classify", json={"utterances": [{"text": "You"}] * 2, "explain": explain})
    problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
    fake.gate.set()
    assert len(classify(client, "You")) == 1


# One model from the first row to the last


def test_a_request_keeps_to_the_model_that_it_began_with(make_client, make_fake, fake):
    other = make_fake(labels=("warm", "cold", "cool"), version="20270101-000000")
    client = make_client(threads=1)
    fake.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        text = {"text": "You feel lost, and I am sorry."}
        works = [
            pool.submit(client.post, "/v1/classify", json={"utterances": [text] * 3, "explain": explain})
            for explain in (False, True)
        ]
        assert fake.busy.wait(20)
        while metrics(client)["asif_queue_tokens",] < 100:
            time.sleep(0.01)
        client.app.state.service.model.predictor = other
        fake.gate.set()
        for body in [work.result(20).json() for work in works]:
            assert body["model"]["version"] == "20260101-000000"
            for result in body["results"]:
                assert list(result["scores"]) == list(LABELS)
                assert all(list(clause["scores"]) == list(LABELS) for clause in result["clauses"] or [])
    body = client.post("/v1/classify", json={"utterances": [{"text": "You"}], "explain": True}).json()
    assert body["model"]["version"] == "20270101-000000"
    assert body["results"][0]["clauses"][0]["label"] == "warm"


# Anything at all

ANY = st.one_of(st.text(), st.text(alphabet=" \n\t\0\u200b\ufeff\u202e\u0301😀'-.,a", max_size=30))


def post(client, path, body):
    return client.post(path, content=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


@given(text=ANY, context=st.none() | ANY, row_id=st.none() | st.text(max_size=300), explain=st.booleans())
@settings(deadline=None)
def test_any_text_is_answered_or_named(shared_client, problem, text, context, row_id, explain):
    body = {"utterances": [{"text": text, "context": context, "id": row_id}], "explain": explain}
    response = post(shared_client, "/v1/classify", body)
    if text.strip() and len(row_id or "") <= 200:
        [result] = response.json()["results"]
        assert (response.status_code, result["id"]) == (200, row_id)
        for span in (result["clauses"] or []) + (result["highlights"] or []):
            assert 0 <= span["start"] < span["end"] <= len(text)
    else:
        problem(response, 422)


@given(inputs=ANY | st.lists(ANY, min_size=1, max_size=4), pair=st.none() | ANY)
@settings(deadline=None)
def test_predict_answers_any_text_or_names_it(shared_client, problem, inputs, pair):
    texts = inputs if isinstance(inputs, list) else [inputs]
    for form in (inputs, [{"text": text, "text_pair": pair} for text in texts]):
        response = post(shared_client, "/predict", {"inputs": form})
        if all(text.strip() for text in texts):
            assert (response.status_code, len(response.json())) == (200, len(texts))
        else:
            problem(response, 422)


@given(text=ANY, context=st.none() | ANY)
@settings(deadline=None, max_examples=25)
def test_the_small_model_answers_any_text(small_client, problem, text, context):
    body = {"utterances": [{"text": text, "context": context}], "explain": len(text) < 40}
    response = post(small_client, "/v1/classify", body)
    if text.strip():
        assert response.status_code == 200
        assert sum(response.json()["results"][0]["scores"].values()) == pytest.approx(1)
    else:
        problem(response, 422)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["utterances", "text", "context", "id", "explain", "inputs", "text_pair", "parameters", "top_k"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
)


@given(body=JSON | st.fixed_dictionaries({"utterances": JSON}) | st.fixed_dictionaries({"inputs": JSON}))
@settings(deadline=None)
def test_any_json_is_answered_or_refused_in_the_one_shape(shared_client, problem, body):
    for path in ("/v1/classify", "/predict"):
        response = post(shared_client, path, body)
        if response.status_code != 200:
            problem(response, 422)


@given(content=st.binary())
@settings(deadline=None)
def test_any_bytes_are_refused_in_the_one_shape(shared_client, problem, content):
    response = shared_client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert 400 <= response.status_code < 500
    problem(response, response.status_code)


@pytest.mark.parametrize("text", ["\0", "You\0feel", "\ufeff", "\u202eYou", "e\u0301" * 50, "😀" * 500, "\x7f\x1b[31m"])
def test_odd_texts_are_answered(client, small_client, text):
    assert len(classify(client, text, explain=True)) == 1
    assert len(classify(small_client, text, {"text": "You", "context": text})) == 2


def test_a_megabyte_of_text_is_refused_not_crashed_on(client, problem):
    for text in ("You feel lost. " * 70_000, "x" * 1_000_000, " " * 1_000_000):
        response = post(client, "/v1/classify", {"utterances": [{"text": text}]})
        problem(response, 413 if text.strip() else 422)
        problem(post(client, "/predict", {"inputs": text}), 413 if text.strip() else 422)


def test_a_megabyte_of_text_is_answered_where_it_is_allowed(make_client, small_predictor):
    client = make_client(small_predictor, max_characters=1_000_000, max_body=3_000_000)
    word, words = classify(client, "x" * 1_000_000, "x " * 500_000)
    assert (word["truncated"], words["truncated"]) == (False, True)


LONE = "You \ud800 feel"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/classify", {"utterances": [{"text": "You", "id": LONE}]}),
        ("/v1/classify", {"utterances": [{"text": "You", LONE: 1}]}),
        ("/v1/classify", {"utterances": [{"text": "You"}], LONE: LONE}),
        ("/predict", {"inputs": {LONE: LONE}}),
        ("/predict", {"inputs": "You", "parameters": {"function_to_apply": LONE}}),
    ],
)
def test_half_a_surrogate_pair_is_422(client, problem, path, body):
    problem(post(client, path, body), 422)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/classify", {"utterances": [{"text": LONE}]}),
        ("/v1/classify", {"utterances": [{"text": "You", "context": LONE}]}),
        ("/predict", {"inputs": LONE}),
        ("/predict", {"inputs": ["You", LONE]}),
        ("/predict", {"inputs": {"text": LONE}}),
        ("/predict", {"inputs": {"text": "You", "text_pair": LONE}}),
    ],
)
def test_half_a_surrogate_pair_in_what_the_model_reads_is_422(small_client, problem, path, body):
    problem(post(small_client, path, body), 422)
