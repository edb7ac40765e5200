"""The OpenAPI document: what is committed, what the app serves, and whether the app keeps to it."""

import json
from collections import Counter
from pathlib import Path

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from asif_serve.app import openapi_document

COMMITTED = Path(__file__).parents[2] / "serve" / "openapi.json"


def test_the_committed_document_is_what_the_app_serves(client):
    assert client.get("/openapi.json").json() == json.loads(openapi_document())
    committed = COMMITTED.read_text(encoding="utf-8") if COMMITTED.exists() else ""
    assert committed == openapi_document(), "serve/openapi.json is not what the app serves: make openapi"


def test_every_documented_error_has_the_one_shape(client):
    document = client.app.openapi()
    shape = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetail"}}}
    answers = [
        (status, answer)
        for path in document["paths"].values()
        for operation in path.values()
        for status, answer in operation["responses"].items()
    ]
    assert {status for status, _ in answers} >= {"200", "401", "413", "422", "429", "503"}
    assert all(answer["content"] == shape for status, answer in answers if status != "200")
    schemas = document["components"]["schemas"]
    assert {"ProblemDetail", "FieldProblem"} <= schemas.keys()
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()


def test_the_document_tells_the_limit_on_rows(make_client):
    schemas = make_client(max_rows=7).get("/openapi.json").json()["components"]["schemas"]
    assert schemas["ClassifyIn"]["properties"]["utterances"]["maxItems"] == 7
    assert [form.get("maxItems") for form in schemas["PredictIn"]["properties"]["inputs"]["anyOf"]] == [None, None, 7]


# The same few hundred requests each time: edges of every field, wrong methods, and bodies made at random, good and bad.
PLAN = {
    "seed": 20261126,
    "generation": {"max-examples": 40, "deterministic": True, "database": "none"},
    "checks": {"negative_data_rejection": {"expected-statuses": [405, 413, 415, 422]}},
}


def test_the_app_keeps_to_its_document(shared_client):
    """No 5xx; no status, media type, header or body that is not documented; bad data is refused, good data is not."""
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", shared_client.app, config=SchemathesisConfig.from_dict(PLAN)
    )
    asked, wrong = Counter(), []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            asked[event.recorder.label] += len(event.recorder.interactions)
            checks = [check for checks in event.recorder.checks.values() for check in checks]
            wrong += [f"{event.recorder.label}: {c.name}: {c.failure_info.failure}" for c in checks if c.failure_info]
        elif isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append(str(event))
    assert not wrong, "\n".join(wrong)
    document = json.loads(openapi_document())
    assert set(asked) >= {f"{m.upper()} {path}" for path, methods in document["paths"].items() for m in methods}
    assert min(asked["POST /v1/classify"], asked["POST /predict"]) >= 50
