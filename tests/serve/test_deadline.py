import asyncio
import time

import pytest

from asif_serve.deadline import Deadline, deadline_of
from asif_serve.problems import Problem


def ask(messages, seconds=0.2, pause=0.0):
    """What an app behind the layer reads of messages that come so far apart, and the time that it is told."""

    async def receive():
        await asyncio.sleep(pause)
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def app(scope, receive, send):
        app.until = deadline_of(scope) - asyncio.get_running_loop().time()
        app.read = [await receive()]
        while app.read[-1].get("more_body"):
            app.read.append(await receive())
        app.read.append(await asyncio.wait_for(receive(), 1))

    async def main():
        await Deadline(app, seconds)({"type": "http"}, receive, None)

    asyncio.run(main())
    return app


def part(more):
    return {"type": "http.request", "body": b"x", "more_body": more}


GONE = {"type": "http.disconnect"}


def test_a_request_knows_how_long_it_may_take():
    assert ask([part(False), GONE], seconds=7).until == pytest.approx(7, abs=0.5)


def test_a_body_in_time_is_read_whole():
    assert ask([part(True), part(True), part(False), GONE], seconds=5).read == [
        part(True),
        part(True),
        part(False),
        GONE,
    ]


@pytest.mark.parametrize("messages", [[], [part(True)], [part(True)] * 100])
def test_a_body_that_does_not_get_whole_is_408_and_the_connection_is_closed(messages):
    start = time.perf_counter()
    with pytest.raises(Problem) as caught:
        ask(messages, pause=0.01)
    assert (caught.value.status_code, caught.value.headers) == (408, {"Connection": "close"})
    assert 0.15 < time.perf_counter() - start < 5


def test_after_the_body_there_is_no_hurry():
    assert ask([part(False), GONE], seconds=0.15, pause=0.1).read[-1] == GONE


def test_what_is_not_http_passes():
    async def main():
        seen = []

        async def app(scope, receive, send):
            seen.append(scope)

        await Deadline(app, 1)({"type": "lifespan"}, None, None)
        return seen

    assert asyncio.run(main()) == [{"type": "lifespan"}]
