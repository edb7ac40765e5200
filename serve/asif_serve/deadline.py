"""Nobody waits for ever: a request has a time by which its body must be here and its work begun."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asif_serve.problems import Problem

_KEY = "asif.deadline"


class Deadline:
    """Notes when a request must be under way; a body that is not whole by then ends it with 408."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        until = scope[_KEY] = asyncio.get_running_loop().time() + self._seconds
        whole = False

        async def in_time() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                detail = f"Expected the whole body within {self._seconds:g} seconds."
                # What may still come of it is not waited for.
                raise Problem(408, detail, headers={"Connection": "close"}) from None
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, in_time, send)


def deadline_of(scope: Scope) -> float:
    """The time, by the event loop's clock, by which work on this request must have begun."""
    return scope[_KEY]
