"""A client that is light enough to load a server from the same machine: HTTP/1.1 over plain streams."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Reply:
    """One answer of a server."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def post(path: str, body: Any) -> bytes:
    """A POST request with a JSON body, ready to send."""
    content = json.dumps(body).encode()
    return head("POST", path, len(content)) + content


def head(method: str, path: str, length: int = 0) -> bytes:
    """A request up to its body."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {HOST}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Connection:
    """One connection, for one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection(HOST, self._port, limit=2**22)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def ask(self, request: bytes) -> Reply:
        """Send a request and read its answer. Raises OSError or EOFError if the server closes before it is whole."""
        self.writer.write(request)
        return await self.read()

    async def read(self) -> Reply:
        """Read an answer."""
        first, *rest = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Reply(int(first.split()[1]), headers, body)


async def ask(port: int, request: bytes) -> Reply:
    """Ask over a connection of its own."""
    async with Connection(port) as connection:
        return await connection.ask(request)


Check = Callable[[Reply], str | None]
Requests = Callable[[], tuple[bytes, Check]]


@dataclass
class Tally:
    """What came of many requests: statuses (or the name of an error), seconds of those answered 200, and complaints."""

    ends: Counter[int | str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Seconds within which this share of answers came."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    async def ask(self, connection: Connection, request: bytes, check: Check) -> bool:
        """Ask, check and count; whether the connection can be used again."""
        start = time.perf_counter()
        try:
            reply = await connection.ask(request)
        except (OSError, EOFError) as error:
            self.ends[type(error).__name__] += 1
            return False
        self.ends[reply.status] += 1
        if reply.status == 200:
            self.seconds.append(time.perf_counter() - start)
        complaint = check(reply)
        if complaint:
            self.wrong.append(complaint)
        return reply.headers.get("connection") != "close"

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items(), key=str))
        times = (
            f"; p50 {1e3 * self.quantile(0.5):.1f} ms, p99 {1e3 * self.quantile(0.99):.1f} ms" if self.seconds else ""
        )
        return ends + times


async def closed_loop(port: int, requests: Requests, callers: int, go_on: Callable[[Tally], bool]) -> Tally:
    """So many callers, each asking again as soon as it has an answer, while `go_on`."""
    tally = Tally()

    async def call() -> None:
        while go_on(tally):
            try:
                async with Connection(port) as connection:
                    while go_on(tally) and await tally.ask(connection, *requests()):
                        pass
            except OSError as error:  # no connection
                tally.ends[type(error).__name__] += 1
                await asyncio.sleep(0.01)

    await asyncio.gather(*(call() for _ in range(callers)))
    return tally
