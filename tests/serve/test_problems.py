import json
import re

import pytest

from asif_serve.problems import FieldProblem, Problem, documented


def test_a_problem_becomes_a_response():
    wrong = FieldProblem(field="utterances.0.text", message="expected words")
    response = Problem(429, "Try again.", errors=[wrong], headers={"Retry-After": "1"}).response()
    assert response.status_code == 429
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "Try again.",
        "errors": [{"field": "utterances.0.text", "message": "expected words"}],
    }


def test_documented_errors_all_have_the_same_body():
    found = documented(401, 503)
    assert list(found) == [401, 503]
    for entry in found.values():
        assert entry["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetail"}}
        }


def test_an_unknown_path_is_404(client, problem):
    problem(client.get("/v2/classify"), 404)
    problem(client.post("/v1/classify/more", json={}), 404)


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/classify"), ("PUT", "/predict"), ("POST", "/v1/model")])
def test_another_method_is_405_and_says_which_is_taken(client, problem, method, path):
    response = client.request(method, path)
    problem(response, 405)
    assert response.headers["allow"] in ("GET", "POST")


CLASSIFY = [
    ({}, {"utterances"}),
    ({"utterances": []}, {"utterances"}),
    ({"utterances": {}}, {"utterances"}),
    ({"utterances": None}, {"utterances"}),
    ({"utterances": ["text"]}, {"utterances.0"}),
    ({"utterances": [{}]}, {"utterances.0.text"}),
    ({"utterances": [{"text": None}]}, {"utterances.0.text"}),
    ({"utterances": [{"text": 1}]}, {"utterances.0.text"}),
    ({"utterances": [{"text": ""}]}, {"utterances.0.text"}),
    ({"utterances": [{"text": "fine"}, {"text": " \n\t\u3000"}]}, {"utterances.1.text"}),
    ({"utterances": [{"text": "fine", "context": 1}]}, {"utterances.0.context"}),
    ({"utterances": [{"text": "fine", "id": 7}]}, {"utterances.0.id"}),
    ({"utterances": [{"text": "fine", "id": "i" * 201}]}, {"utterances.0.id"}),
    ({"utterances": [{"text": "fine", "speaker": "c"}]}, {"utterances.0"}),
    ({"utterances": [{"text": "fine"}], "explain": "perhaps"}, {"explain"}),
    ({"utterances": [{"text": "fine"}], "model": "best"}, {"body"}),
    ({"utterances": [{"text": ""}, {}], "explain": []}, {"utterances.0.text", "utterances.1.text", "explain"}),
    ([], {"body"}),
    ("fine", {"body"}),
    (None, {"body"}),
]


@pytest.mark.parametrize(("body", "fields"), CLASSIFY)
def test_classify_names_every_wrong_field(client, problem, body, fields):
    found = problem(client.post("/v1/classify", json=body), 422)
    assert {error["field"] for error in found["errors"]} == fields
    assert all(error["message"] for error in found["errors"])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"inputs"}),
        ({"inputs": "fine", "parameters": {"top_k": 0}}, {"parameters.top_k"}),
        ({"inputs": "fine", "parameters": {"top_k": "two"}}, {"parameters.top_k"}),
        ({"inputs": "fine", "parameters": {"function_to_apply": "sigmoid"}}, {"parameters.function_to_apply"}),
        ({"inputs": "fine", "parameters": {"max_length": 5}}, {"parameters"}),
        ({"inputs": "fine", "parameters": []}, {"parameters"}),
        ({"inputs": "fine", "options": {}}, {"body"}),
    ],
)
def test_predict_names_every_wrong_field(client, problem, body, fields):
    found = problem(client.post("/predict", json=body), 422)
    assert {error["field"] for error in found["errors"]} == fields


INPUTS = [None, 3, {}, "", [""], [None], ["fine", {"text": " "}], {"text": "fine", "context": "he"}, [["fine", "he"]]]


@pytest.mark.parametrize("inputs", INPUTS)
def test_predict_refuses_inputs_in_another_form(client, problem, inputs):
    assert problem(client.post("/predict", json={"inputs": inputs}), 422)["errors"]


@pytest.mark.parametrize("inputs", INPUTS)
def test_the_path_of_a_wrong_input_is_one_that_the_caller_can_follow(client, problem, inputs):
    for error in problem(client.post("/predict", json={"inputs": inputs}), 422)["errors"]:
        assert re.fullmatch(r"inputs(\.\d+)?(\.text|\.text_pair)?", error["field"])


@pytest.mark.parametrize("content", [b"{", b"", b"{'text': 1}", b'{"utterances": [}', b"words", b'{"a": 1} {"b": 2}'])
def test_a_body_that_is_not_json_is_422(client, problem, content):
    response = client.post("/v1/classify", content=content, headers={"Content-Type": "application/json"})
    assert [error["field"] for error in problem(response, 422)["errors"]] == ["body"]


def test_an_unknown_field_is_not_named_back(client, problem):
    inside = {"utterances": [{"text": "fine", "my secret": 1}], "my other secret": {}}
    body = problem(client.post("/v1/classify", json=inside), 422)
    assert {error["field"] for error in body["errors"]} == {"utterances.0", "body"}
    assert "secret" not in json.dumps(body)
