"""A request under way, from its id to its line in the log."""

import logging
import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asif_serve.rate import Bucket
from asif_serve.telemetry import Telemetry
from asif_serve.work import LEAST

log = logging.getLogger("asif_serve")
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_QUIET = {"/health/live", "/health/ready", "/metrics"}
# A page of this server loads what this server serves and is shown in no other page. Answers for programs get the same.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


@dataclass(slots=True)
class Call:
    """What is known of a request while it is answered. Nothing of what it says."""

    id: str
    key: str | None = None
    bucket: Bucket | None = None
    rows: int = 0
    paid: int = 0

    def settle(self, status: int) -> None:
        """Give back what a crash did not get: it costs as much as the shortest row.

        Work that ran out of time or that nobody waited for has kept the engine busy, and is paid for.
        """
        if self.bucket and status == 500:
            self.bucket.take(LEAST - self.paid)


_current: ContextVar[Call] = ContextVar("call")


def current_call() -> Call:
    """The request under way."""
    return _current.get()


def spend(tokens: int, rows: int) -> None:
    """Charge the request under way for all of its work, now that it is taken on.

    Outside a request nothing is counted.
    """
    call = _current.get(None)
    if call is None:
        return
    call.rows = rows
    if call.bucket:
        call.bucket.take(tokens - call.paid)
        call.paid = tokens


class Recorder:
    """The outermost layer: gives a request its id and its answer the headers, counts it, and writes its one line."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = Call(_request_id(scope))
        _current.set(call)
        start, status, counted = time.perf_counter(), 500, False

        def count() -> None:
            nonlocal counted
            if not counted:
                counted = True
                self._telemetry.request(_route(scope), status, time.perf_counter() - start, call.rows, call.key or "")

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS, (b"x-request-id", call.id.encode())]
                trace.get_current_span().set_attributes({f"asif.{name}": fact for name, fact in _facts(call).items()})
            elif not message.get("more_body"):
                count()  # before the caller has all of it: a worker that is killed then forgets nothing
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        finally:
            call.settle(status)
            count()
            self._write(scope["method"], _route(scope), status, time.perf_counter() - start, call)

    @staticmethod
    def _write(method: str, route: str, status: int, seconds: float, call: Call) -> None:
        level = logging.DEBUG if route in _QUIET and status < 400 else logging.INFO
        if not log.isEnabledFor(level):
            return
        facts: dict[str, Any] = {
            "method": method if method in _METHODS else "other",
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
        }
        span = trace.get_current_span().get_span_context()
        traced = {"trace_id": trace.format_trace_id(span.trace_id)} if span.is_valid else {}
        log.log(level, "request", extra={"facts": facts | _facts(call) | traced})


def _facts(call: Call) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"request_id": call.id, "rows": call.rows}
    return facts | {"key": call.key} if call.key else facts


def _route(scope: Scope) -> str:
    """The template of the route, also where the request was refused before one was looked up; never what was sent."""
    known = [scope["route"]] if "route" in scope else [r for r in scope["app"].routes if r.path == scope["path"]]
    return known[0].path if known else "other"


def _request_id(scope: Scope) -> str:
    """The caller's X-Request-Id where it is short and safe to write down; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SAFE_ID.fullmatch(value):
            return value.decode()
    return uuid.uuid4().hex
