"""What a request must have before anything reads it: a key, a fair pace, a body of a known kind and size."""

import asyncio
import contextlib
import hmac
import logging
import math
import traceback
from collections.abc import Mapping
from hashlib import sha256

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asif_serve.call import Call, current_call
from asif_serve.problems import Problem
from asif_serve.rate import Bucket

log = logging.getLogger("asif_serve")
# Seconds for which the body of a refused request is awaited.
_PATIENCE = 2.0
_OPEN = {"/health/live", "/health/ready", "/docs", "/openapi.json", "/"}


class Guard:
    """Checks a request from its head alone, counts its body as it comes, and turns a crash into a plain 500."""

    def __init__(self, app: ASGIApp, keys: Mapping[str, str], rate: int, max_body: int) -> None:
        """`keys` are names by key, `rate` model runs a minute for each name (0: no limit), `max_body` bytes."""
        self._app = app
        self._keys = [(sha256(key.encode()).digest(), name) for key, name in keys.items()]
        self._rate = rate
        self._buckets = {name: Bucket(rate) for name in (keys.values() or [None])} if rate else {}
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call, started = current_call(), False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._check(scope, call)
        except Problem as problem:
            await self._swallow(receive)
            await problem.response()(scope, receive, send)
            return
        try:
            await self._app(scope, self._limited(receive), send_noted)
        except Problem as problem:
            await problem.response()(scope, receive, send)
        except Exception as error:
            # The message of an exception may hold an utterance: only its kind and place are logged.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("request %s failed: %s\n%s", call.id, type(error).__name__, where)
            if not started:
                crashed = Problem(500, "The server failed on this request; its log has the request id.")
                await crashed.response()(scope, receive, send)

    def _check(self, scope: Scope, call: Call) -> None:
        headers = dict(scope["headers"])
        path = scope["path"]
        if self._keys and path not in _OPEN and not path.startswith("/docs/"):
            call.key = self._name(headers.get(b"authorization", b""))
        if scope["method"] == "POST":
            self._check_pace(call)
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._max_body:
            raise self._too_large()
        if length.strip(b"0") or b"transfer-encoding" in headers:
            _check_kind(headers)

    def _name(self, header: bytes) -> str:
        """The name of the key that the caller sent. Raises Problem 401."""
        scheme, _, key = header.partition(b" ")
        sent = sha256(key.strip()).digest()
        # Every key is compared, and as hashes of one length, so that the answer's time tells nothing.
        found = [name for known, name in self._keys if hmac.compare_digest(sent, known)]
        if scheme.lower() != b"bearer" or not found:
            raise Problem(
                401, "Expected a valid key as `Authorization: Bearer KEY`.", headers={"WWW-Authenticate": "Bearer"}
            )
        return found[0]

    def _check_pace(self, call: Call) -> None:
        bucket = self._buckets.get(call.key)
        if bucket is None:
            return
        if wait := bucket.wait():
            raise Problem(
                429,
                f"Expected at most {self._rate} model runs a minute; try again later.",
                headers={"Retry-After": str(math.ceil(wait))},
            )
        bucket.take(1)
        call.bucket, call.paid = bucket, 1

    async def _swallow(self, receive: Receive) -> None:
        """Take a body off the wire, unread: a caller who is still sending would not get to see the refusal."""
        seen, more = 0, True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while more and seen <= 4 * self._max_body:
                    message = await receive()
                    seen += len(message.get("body", b""))
                    more = message.get("more_body", False)

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


def _check_kind(headers: Mapping[bytes, bytes]) -> None:
    """Raises Problem 415 if a body is not plain JSON: a packed one could grow past every limit."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(415, "Expected a body without Content-Encoding.")
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        raise Problem(415, "Expected a body with `Content-Type: application/json`.")
