"""Errors over HTTP: one shape for all (RFC 9457), which never repeats what the caller sent."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 100
_FIELD = re.compile(r"(?!str$)[a-z_]+")


# RFC 9110's names, which Python's own table has only since 3.13; nginx's for a caller who did not wait.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content", 499: "Client Closed Request"}


def title_of(status: int) -> str:
    """The name of a status."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


class FieldProblem(BaseModel):
    """One field of the request that is wrong."""

    field: str
    message: str


class ProblemDetail(BaseModel):
    """The body of every error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


class Problem(HTTPException):
    """Raised anywhere in a request to end it with an error."""

    def __init__(
        self, status: int, detail: str, *, errors: Sequence[FieldProblem] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.errors = list(errors)

    def response(self) -> JSONResponse:
        """The HTTP response that tells it."""
        body = ProblemDetail(
            title=title_of(self.status_code), status=self.status_code, detail=self.detail, errors=self.errors
        )
        return JSONResponse(body.model_dump(), self.status_code, self.headers, MEDIA_TYPE)


# What an error of this server means where its name does not say it.
_WHEN = {
    408: "the body was not whole in time",
    415: "the body is not plain JSON",
    429: "the queue is full, or this key asks too fast",
    503: "no model is ready, or part of the request could not be begun in time",
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "seconds until it is worth trying again",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an endpoint's OpenAPI entry says of its errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetail"}}}
    return {
        status: {
            "description": f"{title_of(status)}: {_WHEN[status]}" if status in _WHEN else title_of(status),
            "content": content,
        }
        | ({"headers": _RETRY_AFTER} if status in (429, 503) else {})
        for status in statuses
    }


async def on_problem(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for Problem."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for Problem only
    return error.response()


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for what the framework itself refuses: unknown paths and methods, bodies it cannot read."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for HTTPException only
    if isinstance(error.__cause__, ClientDisconnect):
        return Problem(499, "The client has hung up.").response()
    if error.status_code == 400:
        field = FieldProblem(field="body", message="expected JSON in UTF-8")
        return Problem(422, "The request body is not as expected; see errors.", errors=[field]).response()
    details = {404: "There is nothing at this path.", 405: "This path does not take this method."}
    headers = dict(error.headers) if error.headers else None
    return Problem(
        error.status_code, details.get(error.status_code, "The request was refused."), headers=headers
    ).response()


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for bodies that are not as documented: which field, and what was expected of it."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this error only
    errors = error.errors()
    if any(e["type"] == "too_long" for e in errors):
        return too_many(request.app.state.service.settings.max_rows).response()
    fields = {_field(e["loc"], e["type"]): _message(e) for e in errors}
    problems = [FieldProblem(field=field, message=message) for field, message in fields.items()][:MOST_ERRORS]
    more = f", of which {MOST_ERRORS} of {len(fields)} are told" if len(fields) > MOST_ERRORS else ""
    return Problem(422, f"The request body is not as expected; see errors{more}.", errors=problems).response()


def too_many(most: int) -> Problem:
    """What a request with more utterances than allowed gets."""
    return Problem(413, f"Expected at most {most} utterances in one request.")


def _field(location: Sequence[int | str], kind: str) -> str:
    """The path inside the body. An unknown field's name is the caller's own word: it is left out.

    Where a field may have several forms, the validator names the form it tried in brackets or by its class: left out too.
    """
    parts = [] if kind == "json_invalid" else list(location[1:])
    if kind == "extra_forbidden":
        parts = parts[:-1]
    return ".".join(str(part) for part in parts if isinstance(part, int) or _FIELD.fullmatch(part)) or "body"


def _message(error: dict[str, Any]) -> str:
    own = {
        "json_invalid": "expected JSON",
        "extra_forbidden": "expected known fields only, found another",
        "string_unicode": "expected text that UTF-8 can hold",
        "missing": "expected this field, found none",
    }
    if error["type"] in own:
        return own[error["type"]]
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return str(error["msg"]).lower()
