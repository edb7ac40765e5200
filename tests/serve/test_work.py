import asyncio
import threading
import time

import pytest

from asif_serve.problems import Problem
from asif_serve.work import WorkQueue


@pytest.fixture
def make_queue():
    made = []

    def make(threads=2, limit=100):
        made.append(WorkQueue(threads, limit))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def doubled(part):
    return [2 * item for item in part]


def test_no_items_are_no_results(make_queue):
    assert asyncio.run(make_queue().map(doubled, [], 0)) == []


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 61])
def test_slices_keep_the_order(make_queue, count):
    def last_first(part):
        time.sleep(0.002 * (count - part[0]) / count)
        return doubled(part)

    assert asyncio.run(make_queue(4).map(last_first, range(count), count)) == [2 * item for item in range(count)]


def test_a_request_is_cut_into_slices_of_eight(make_queue):
    sizes = []

    def work(part):
        sizes.append(len(part))
        return list(part)

    asyncio.run(make_queue(1).map(work, range(20), 20))
    assert sizes == [8, 8, 4]


def test_work_runs_beside_the_event_loop(make_queue):
    async def main():
        open_gate = threading.Event()
        work = asyncio.create_task(make_queue().map(lambda part: [open_gate.wait(10)], [1], 1))
        await asyncio.sleep(0.01)
        assert not work.done()
        open_gate.set()
        return await work

    assert asyncio.run(main()) == [True]


def test_a_small_request_gets_in_between_the_slices_of_a_large_one(make_queue):
    done = []

    def work(part):
        time.sleep(0.005)
        done.append(part[0])
        return list(part)

    async def main():
        queue = make_queue(threads=1)
        large = asyncio.create_task(queue.map(work, ["large"] * 64, 64))
        await asyncio.sleep(0)
        await queue.map(work, ["small"], 1)
        await large

    asyncio.run(main())
    assert done[-1] == "large"


async def ask_while_busy(queue, under_way, cost):
    """Ask for `cost` runs while `under_way` are not done; what came of it."""
    gate = threading.Event()

    def blocked(part):
        assert gate.wait(10)
        return list(part)

    first = asyncio.create_task(queue.map(blocked, list(range(under_way)), under_way))
    await asyncio.sleep(0)
    assert queue.pending == under_way
    second = asyncio.create_task(queue.map(doubled, list(range(cost)), cost))
    await asyncio.sleep(0)
    assert queue.pending == under_way + (0 if second.done() else cost)
    gate.set()
    assert await first == list(range(under_way))
    try:
        return await second
    finally:
        assert queue.pending == 0


@pytest.mark.parametrize(("under_way", "cost"), [(9, 1), (1, 9), (5, 5)])
def test_work_up_to_the_limit_is_let_in(make_queue, under_way, cost):
    assert asyncio.run(ask_while_busy(make_queue(limit=10), under_way, cost)) == doubled(range(cost))


@pytest.mark.parametrize(("under_way", "cost"), [(10, 1), (1, 10), (5, 6), (40, 1)])
def test_work_past_the_limit_is_refused_be_it_one_or_many(make_queue, under_way, cost):
    with pytest.raises(Problem) as caught:
        asyncio.run(ask_while_busy(make_queue(limit=10), under_way, cost))
    assert (caught.value.status_code, caught.value.headers) == (429, {"Retry-After": "1"})


def test_a_request_larger_than_the_queue_is_let_in_when_it_is_empty(make_queue):
    queue = make_queue(limit=10)
    assert asyncio.run(queue.map(doubled, range(40), 40)) == doubled(range(40))
    assert queue.pending == 0


def test_the_cost_is_counted_not_the_items(make_queue):
    queue, seen = make_queue(), []

    def work(part):
        seen.append(queue.pending)
        return list(part)

    asyncio.run(queue.map(work, [1], 30))
    assert seen == [30]


def test_a_crash_frees_the_queue(make_queue):
    queue = make_queue()

    def crash(part):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(queue.map(crash, range(20), 20))
    assert queue.pending == 0
    assert asyncio.run(queue.map(doubled, [1], 1)) == [2]
