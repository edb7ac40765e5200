"""The OpenAPI document: what the framework knows of the app, and what it does not."""

from typing import Any

from fastapi import FastAPI

from asif_serve.problems import ProblemDetail


def complete(app: FastAPI, most_rows: int) -> None:
    """Put into the document the error shape, in the place of the framework's own, the keys and the limit on rows."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            found = document["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                found.pop(name, None)
            shape = ProblemDetail.model_json_schema(ref_template="#/components/schemas/{model}")
            found.update(shape.pop("$defs"))
            found["ProblemDetail"] = shape
            _tell_of_keys(document)
            _limit_rows(found, most_rows)
        assert app.openapi_schema is not None  # noqa: S101 - generated above
        return app.openapi_schema

    app.openapi = openapi


def _tell_of_keys(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for operations in document["paths"].values():
        for operation in operations.values():
            if "401" in operation["responses"]:
                operation["security"] = [{"key": []}, {}]


def _limit_rows(found: dict[str, Any], most: int) -> None:
    for name, field in (("ClassifyIn", "utterances"), ("PredictIn", "inputs")):
        shape = found[name]["properties"][field]
        for form in shape.get("anyOf", [shape]):
            if "maxItems" in form:
                form["maxItems"] = most
