"""Requests to the server, a load that does not wait for it, and what its metrics say; the client is the benchmark's."""

import asyncio
import select
import time
from collections.abc import Awaitable, Callable
from typing import Any

from serve.bench.load import Connection, Requests, Tally, ask, head, post


def texts(*found: str, **fields: Any) -> bytes:
    """A request to /v1/classify."""
    return post("/v1/classify", {"utterances": [{"text": text} for text in found]} | fields)


async def metrics(port: int) -> dict[tuple[str, ...], float]:
    """The value of every sample of /metrics, by name and labels."""
    from prometheus_client.parser import text_string_to_metric_families

    text = (await ask(port, head("GET", "/metrics"))).body.decode()
    return {(s.name, *s.labels.values()): s.value for f in text_string_to_metric_families(text) for s in f.samples}


def _closed(connection: Connection) -> bool:
    """Whether the server has closed an idle connection, be it that nobody has noticed yet: there is something to read."""
    if connection.writer.is_closing() or connection.reader.at_eof():
        return True
    found = select.poll()
    found.register(connection.writer.get_extra_info("socket"), select.POLLIN)
    return bool(found.poll(0))


async def _free(port: int, idle: list[Connection]) -> Connection:
    """A connection of `idle` that the server has not closed for being so, or a new one."""
    while idle:
        connection = idle.pop()
        if not _closed(connection):
            return connection
        await connection.__aexit__()
    return await Connection(port).__aenter__()


async def open_loop(port: int, requests: Requests, rate: float, seconds: float) -> Tally:
    """So many requests a second, whether or not earlier ones are answered; ends when all of them are."""
    tally, idle = Tally(), []

    async def call() -> None:
        connection = await _free(port, idle)
        if await tally.ask(connection, *requests()):
            idle.append(connection)
        else:
            await connection.__aexit__()

    start, calls, sent = time.perf_counter(), set(), 0
    while (now := time.perf_counter() - start) < seconds:
        for _ in range(int(rate * now) - sent):
            task = asyncio.create_task(call())
            calls.add(task)
            task.add_done_callback(calls.discard)
            sent += 1
        await asyncio.sleep(0.005)
    if calls:
        await asyncio.wait(calls)
    for connection in idle:
        await connection.__aexit__()
    assert sum(tally.ends.values()) == sent
    return tally


async def within(seconds: float, holds: Callable[[], Awaitable[bool]]) -> float:
    """Wait until something holds; seconds that it took. Fails if it does not within the time."""
    start = time.perf_counter()
    while not await holds():
        assert time.perf_counter() - start < seconds, f"not so within {seconds} s"
        await asyncio.sleep(0.02)
    return time.perf_counter() - start
