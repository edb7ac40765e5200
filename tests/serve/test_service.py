"""A caller who waits is watched, one who is answered at once is not."""

import asyncio

import pytest

from asif_serve import service
from asif_serve.problems import Problem


class Caller:
    """A request whose client has hung up; it counts how often one looks."""

    looks = 0

    async def receive(self):
        self.looks += 1
        return {"type": "http.disconnect"}


async def wait_for_answer(caller, seconds):
    """What comes of work that is answered after so many seconds."""
    work = asyncio.get_running_loop().create_future()
    answering = asyncio.get_running_loop().call_later(seconds, lambda: work.done() or work.set_result("answer"))
    try:
        with service._watched(caller, work):
            return await work
    finally:
        answering.cancel()


def test_work_that_is_done_at_once_costs_no_look_at_the_client():
    caller = Caller()
    assert asyncio.run(wait_for_answer(caller, 0)) == "answer"
    assert caller.looks == 0


def test_work_that_takes_longer_is_given_up_with_its_client(monkeypatch):
    monkeypatch.setattr(service, "_MOMENT", 0.01)
    caller = Caller()
    with pytest.raises(Problem) as raised:
        asyncio.run(wait_for_answer(caller, 30))
    assert raised.value.status_code == 499 and caller.looks == 1
