"""One server process: uvicorn over the app, and when it lets go of a connection."""

import math
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import uvicorn

from asif_serve.app import create_app
from asif_serve.predictor import Predictor
from asif_serve.settings import Settings

_BACKLOG = 2048


def run(settings: Settings, predictor: Predictor, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer on `listener` until SIGTERM or SIGINT; calls `ready` once, when requests are taken.

    What is under way is then finished, for as long as a request may take to begin, and the process ends with status 0.
    """
    for name in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again when it is done.
        signal.signal(name, lambda *_: sys.exit(0))
    Server(settings, predictor, ready).run([listener])


class Server(uvicorn.Server):
    """Tells when it is ready, and closes connections on which a request never gets as far as its body."""

    def __init__(self, settings: Settings, predictor: Predictor, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            create_app(settings, predictor, follow=True),
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=math.ceil(settings.deadline),
            # So many connections are taken at once. With several workers, one must not take all of a burst.
            backlog=1 if settings.workers > 1 else _BACKLOG,
        )
        super().__init__(config)
        self._patience = settings.deadline
        self._ready = ready
        self._waiting: dict[Any, tuple[Any, float]] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(_BACKLOG)  # uvicorn has set it to the number that is taken at once
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 10 == 0:
            self._hang_up()
        return await super().on_tick(counter)

    def _hang_up(self) -> None:
        """Close connections that have been without a request under way for too long.

        uvicorn does so only where nothing at all has come since the last answer.
        """
        now, waiting = time.monotonic(), {}
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle and not cycle.response_complete:
                continue
            last, since = self._waiting.get(connection, (None, now))
            waiting[connection] = (cycle, since if last is cycle else now)
            if now - waiting[connection][1] > self._patience:
                connection.transport.close()
        self._waiting = waiting
