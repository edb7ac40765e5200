import asyncio
import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
from serve.bench.load import Connection, ask, head, post
from tests.serve.load import metrics, texts, within

from asif_serve.server import Server
from asif_serve.settings import Settings


@dataclass
class Running:
    """A server on a thread, over the fake predictor."""

    server: Server
    thread: threading.Thread
    port: int
    fake: Any

    def stop(self):
        """As SIGTERM does."""
        self.server.should_exit = True


@pytest.fixture
def start(fake):
    """Start a server; it is stopped at the end."""
    with contextlib.ExitStack() as stack:

        def make(**settings):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            ready = threading.Event()
            server = Server(Settings(model=fake.model.path, **settings), fake, ready.set)
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            running = Running(server, thread, listener.getsockname()[1], fake)
            stack.callback(thread.join, 20)
            stack.callback(running.stop)
            assert ready.wait(20)
            return running

        yield make
        fake.gate.set()


def test_a_server_answers(start):
    running = start()
    reply = asyncio.run(ask(running.port, texts("You feel lost.")))
    assert (reply.status, reply.json()["results"][0]["label"]) == (200, "empathy")


# Callers who hang up


async def pending(running):
    return running.server.config.app.state.service.queue.pending


def test_the_work_of_a_caller_who_hangs_up_is_freed(start):
    running = start(threads=1)
    running.fake.gate.clear()

    async def main():
        async with Connection(running.port) as one, Connection(running.port) as other:
            one.writer.write(texts("You"))
            await within(10, lambda: asyncio.to_thread(running.fake.busy.is_set))
            other.writer.write(texts(*["You"] * 100))
            await within(10, lambda: larger(running, 100))
            await other.__aexit__()
            await within(10, lambda: smaller(running, 10))
            running.fake.gate.set()
            assert (await one.read()).status == 200
        await within(10, lambda: smaller(running, 0))
        found = await metrics(running.port)
        assert found["asif_requests_total", "/v1/classify", "499"] == 1
        assert found["asif_requests_total", "/v1/classify", "200"] == 1

    asyncio.run(main())


async def larger(running, tokens):
    return await pending(running) > tokens


async def smaller(running, tokens):
    return await pending(running) <= tokens


def test_a_caller_who_hangs_up_before_the_body_is_whole_is_no_error_of_the_body(start):
    running = start()

    async def main():
        async with Connection(running.port) as connection:
            connection.writer.write(texts("You feel lost.")[:-5])
            await connection.writer.drain()
            await asyncio.sleep(0.05)

        async def counted():
            return (await metrics(running.port)).get(("asif_requests_total", "/v1/classify", "499")) == 1

        await within(10, counted)

    asyncio.run(main())


# Callers who are slow


def test_a_body_that_does_not_come_is_408_and_the_end_of_the_connection(start):
    running = start(deadline=0.3)

    async def main():
        async with Connection(running.port) as connection:
            reply = await connection.ask(texts("You feel lost.")[:-5])
            assert (reply.status, reply.json()["title"]) == (408, "Request Timeout")
            assert await connection.reader.read() == b""

    asyncio.run(main())


@pytest.mark.parametrize("sent", [b"", b"POST /predict?" + b"x" * 1000])
def test_a_request_that_never_begins_loses_its_connection(start, sent):
    running = start(deadline=0.3)

    async def main():
        async with Connection(running.port) as connection:

            async def drip():
                for byte in sent:
                    connection.writer.write(bytes([byte]))
                    await asyncio.sleep(0.05)

            dripping = asyncio.create_task(drip())
            begin = time.perf_counter()
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(connection.reader.read(), 10) == b""
            dripping.cancel()
            return time.perf_counter() - begin

    assert 0.3 < asyncio.run(main()) < 8


def test_a_connection_in_use_is_kept_longer_than_one_request_may_take(start):
    running = start(deadline=1)

    async def main():
        async with Connection(running.port) as connection:
            for _ in range(30):
                assert (await connection.ask(texts("You feel lost."))).status == 200
                await asyncio.sleep(0.1)

    asyncio.run(main())


# The end


def test_stopping_finishes_what_is_under_way_and_takes_nothing_new(start):
    running = start(threads=1)
    running.fake.gate.clear()

    async def main():
        async with Connection(running.port) as idle, Connection(running.port) as busy:
            await idle.ask(head("GET", "/health/live"))
            busy.writer.write(texts(*["You feel lost."] * 20))
            await within(10, lambda: asyncio.to_thread(running.fake.busy.is_set))
            running.stop()
            assert await asyncio.wait_for(idle.reader.read(), 10) == b""
            with pytest.raises(OSError):
                await within(10, lambda: never(running))
            running.fake.gate.set()
            reply = await busy.read()
            assert (reply.status, len(reply.json()["results"])) == (200, 20)

    asyncio.run(main())
    running.thread.join(10)
    assert not running.thread.is_alive()


async def never(running):
    """Raises as soon as the server takes no more connections."""
    async with Connection(running.port):
        return False


def test_a_connection_that_was_being_accepted_is_told_too(start):
    running = start(threads=1)

    async def main():
        async with Connection(running.port) as late:
            assert (await late.ask(head("GET", "/health/live"))).status == 200
            connections = running.server.server_state.connections
            [missed] = connections
            running.fake.gate.clear()
            async with Connection(running.port) as busy:
                busy.writer.write(texts("You"))
                await within(10, lambda: asyncio.to_thread(running.fake.busy.is_set))
                connections.discard(missed)
                running.stop()
                await asyncio.sleep(0.3)
                connections.add(missed)
                assert await asyncio.wait_for(late.reader.read(), 3) == b""
                running.fake.gate.set()
                assert (await busy.read()).status == 200

    asyncio.run(main())


def test_stopping_takes_no_longer_than_a_request_may(start):
    running = start(deadline=1, threads=1)
    running.fake.gate.clear()

    async def main():
        async with Connection(running.port) as connection:
            # The engine does not come back.
            connection.writer.write(texts("You"))
            await within(10, lambda: asyncio.to_thread(running.fake.busy.is_set))
            running.stop()
            reply = await connection.read()
            assert (reply.status, reply.json()["detail"]) == (503, "The server is stopping.")

    asyncio.run(asyncio.wait_for(main(), 15))
    running.thread.join(15)
    assert not running.thread.is_alive()


def test_what_cannot_be_a_request_is_refused_and_the_next_caller_answered(start):
    running = start()

    async def main():
        for sent in (
            b"\x16\x03\x01\x02\x00\x01",
            b"GET\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        ):
            async with Connection(running.port) as connection:
                connection.writer.write(sent)
                assert b" 400 " in (await asyncio.wait_for(connection.reader.read(), 10))[:20]
        assert (await ask(running.port, post("/predict", {"inputs": "You"}))).status == 200

    asyncio.run(main())


def test_openapi_tells_when_an_answer_is_late(start):
    running = start()
    document = json.loads(asyncio.run(ask(running.port, head("GET", "/openapi.json"))).body)
    for path in ("/v1/classify", "/predict"):
        answers = document["paths"][path]["post"]["responses"]
        assert "in time" in answers["503"]["description"] and "in time" in answers["408"]["description"]
        assert answers["503"]["headers"]["Retry-After"] == answers["429"]["headers"]["Retry-After"]
