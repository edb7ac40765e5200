"""The outermost layer of the app: keys, body limit, request ids, and nothing leaks from a crash."""

import hmac
import logging
import time
import traceback
import uuid
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asif_serve.problems import Problem
from asif_serve.telemetry import Telemetry

log = logging.getLogger("asif_serve")
_OPEN = {"/health/live", "/health/ready", "/docs", "/openapi.json", "/"}
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """Checks a request before anything reads it, and turns a crash into a plain 500."""

    def __init__(self, app: ASGIApp, keys: Sequence[str], max_body: int, telemetry: Telemetry) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]
        self._max_body = max_body
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        start, status = time.perf_counter(), 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, self._limited(receive), send_marked)
        except Problem as problem:
            await problem.response()(scope, receive, send_marked)
        except Exception as error:
            # The message of an exception may hold an utterance: only its kind and place are logged.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("request %s failed: %s\n%s", request_id, type(error).__name__, where)
            await Problem(500, "The server failed on this request; its log has the request id.").response()(
                scope, receive, send_marked
            )
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._telemetry.request(path, status, time.perf_counter() - start)

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if self._keys and scope["path"] not in _OPEN and not self._has_key(headers.get(b"authorization", b"")):
            raise Problem(
                401, "Expected a valid key as `Authorization: Bearer KEY`.", headers={"WWW-Authenticate": "Bearer"}
            )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body:
            raise self._too_large()

    def _has_key(self, header: bytes) -> bool:
        scheme, _, key = header.partition(b" ")
        # Every key is compared, in constant time, so that the answer's time tells nothing.
        matches = [hmac.compare_digest(key.strip(), known) for known in self._keys]
        return scheme.lower() == b"bearer" and any(matches)

    def _too_large(self) -> Problem:
        return Problem(413, f"Expected a body of at most {self._max_body} bytes.")

    def _limited(self, receive: Receive) -> Receive:
        """`receive`, stopping a body without a length when it grows over the limit."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body:
                raise self._too_large()
            return message

        return counted
