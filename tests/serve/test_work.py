import asyncio
import gc
import random
import threading
import time
import weakref
from types import SimpleNamespace

import pytest

from asif_data.encoding import Utterance
from asif_serve.problems import Problem
from asif_serve.work import Times, WorkQueue, tokens

COST = 10  # tokens of a row


class Engine:
    """Answers a row with its own text, and remembers each call. While `gate` is closed nothing is answered."""

    def __init__(self, batch=1, seconds=0.0):
        self.batch, self.seconds = batch, seconds
        self.model = SimpleNamespace(manifest=SimpleNamespace(max_tokens=256))
        self.calls = []
        self.gate, self.busy = threading.Event(), threading.Event()
        self.gate.set()

    def encoder(self, utterances):
        return [SimpleNamespace(text=u.text, truncated="cut" in u.text) for u in utterances]

    def decide(self, encoded):
        texts = [row.text for row in encoded]
        self.calls.append(texts)
        self.busy.set()
        assert self.gate.wait(20)
        time.sleep(self.seconds * len(texts))
        if "poison" in texts:
            raise ZeroDivisionError
        return texts

    @property
    def asked(self):
        return [text for call in self.calls for text in call]


@pytest.fixture
def make_queue():
    made = []

    def make(threads=2, limit=10_000, **options):
        made.append(WorkQueue(threads, limit, **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def ask(queue, engine, texts, deadline=None, times=None):
    rows = [Utterance(text) for text in texts]
    return queue.submit(engine, rows.__getitem__, [COST] * len(rows), deadline, times)


def several(name, count):
    return [f"{name} {i}" for i in range(count)]


async def begun(engine):
    """Wait, beside the event loop, until the engine has a row."""
    assert await asyncio.to_thread(engine.busy.wait, 20)


@pytest.fixture
def shut():
    """An engine whose gate is closed; opened again at the end."""
    engine = Engine()
    engine.gate.clear()
    yield engine
    engine.gate.set()


# Answers


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("count", [0, 1, 7, 61])
def test_answers_come_in_the_order_of_the_rows(make_queue, batch, count):
    async def main():
        return await ask(make_queue(4), engine, several("row", count))

    engine = Engine(batch, seconds=0.0005)
    assert [answer.decision for answer in asyncio.run(main())] == several("row", count)


def test_an_answer_says_whether_part_of_its_row_was_not_read(make_queue):
    async def main():
        return await ask(make_queue(), Engine(), ["whole", "cut", "whole"])

    assert [answer.truncated for answer in asyncio.run(main())] == [False, True, False]


def test_work_runs_beside_the_event_loop(make_queue, shut):
    async def main():
        work = ask(make_queue(), shut, ["row"])
        await begun(shut)
        assert not work.done()
        shut.gate.set()
        return await work

    assert len(asyncio.run(main())) == 1


@pytest.mark.parametrize(("characters", "cost"), [(0, 4), (24, 10), (400, 104), (5000, 256)])
def test_a_row_costs_about_the_tokens_that_the_model_reads_of_it(characters, cost):
    assert tokens(characters, 256) == cost


# Turns


def test_a_small_request_waits_for_one_row_of_a_large_one(make_queue, shut):
    async def main():
        queue = make_queue(threads=1)
        large = ask(queue, shut, several("large", 64))
        await begun(shut)
        small = ask(queue, shut, ["small"])
        shut.gate.set()
        await small
        await large

    asyncio.run(main())
    assert shut.asked.index("small") == 2  # one row was under way, one was next


def test_requests_take_turns_row_by_row(make_queue, shut):
    async def main():
        queue = make_queue(threads=1)
        first = ask(queue, shut, ["first"])
        await begun(shut)
        rest = [ask(queue, shut, several(name, 3)) for name in ("a", "b")]
        shut.gate.set()
        await asyncio.gather(first, *rest)

    asyncio.run(main())
    assert shut.asked == ["first", "a 0", "b 0", "a 1", "b 1", "a 2", "b 2"]


def test_an_engine_that_likes_several_rows_gets_them_from_several_requests(make_queue):
    async def main():
        queue = make_queue(threads=1)
        engine.gate.clear()
        works = [ask(queue, engine, ["first"])]
        await begun(engine)
        works += [ask(queue, engine, several(name, count)) for name, count in (("a", 1), ("b", 3), ("c", 1))]
        works += [ask(queue, other, ["other"])]
        engine.gate.set()
        return await asyncio.gather(*works)

    engine, other = Engine(batch=4), Engine(batch=4)
    answers = asyncio.run(main())
    assert engine.calls == [["first"], ["a 0", "b 0", "c 0"], ["b 1", "b 2"]]
    assert other.calls == [["other"]]
    assert [[answer.decision for answer in each] for each in answers[1:3]] == [["a 0"], several("b", 3)]


# Times


def test_what_the_engine_took_is_told_of_every_call_and_of_every_request(make_queue):
    calls, times, other = [], Times(), Times()

    async def main():
        queue = make_queue(timed=lambda *seconds: calls.append(seconds))
        await asyncio.gather(ask(queue, engine, several("row", 3), times=times), ask(queue, engine, ["o"], times=other))

    engine = Engine(seconds=0.02)
    asyncio.run(main())
    assert len(calls) == 4
    for each in (times, other):
        assert each.queued <= each.begun < each.done <= time.time_ns()
    assert 0.06 <= times.inference < 5 and 0.02 <= other.inference < 5
    assert times.inference + other.inference == pytest.approx(sum(inference for _, inference in calls))
    assert times.tokenization + other.tokenization == pytest.approx(sum(tokenization for tokenization, _ in calls))
    assert times.tokenization < times.inference


def test_a_call_for_several_requests_is_shared_among_them_and_one_that_fails_has_no_time(make_queue):
    calls, found = [], [Times() for _ in range(4)]

    async def main():
        queue = make_queue(threads=1, timed=lambda *seconds: calls.append(seconds))
        engine.gate.clear()
        works = [ask(queue, engine, ["first"], times=found[0])]
        await begun(engine)
        works += [ask(queue, engine, [name], times=times) for name, times in zip("ab", found[1:3], strict=True)]
        engine.gate.set()
        await asyncio.gather(*works)
        with pytest.raises(ZeroDivisionError):
            await ask(queue, engine, ["poison"], times=found[3])

    engine = Engine(batch=2, seconds=0.01)
    asyncio.run(main())
    assert len(calls) == 2
    assert found[1].inference == found[2].inference == pytest.approx(calls[1][1] / 2)
    assert found[3].begun and found[3].done and not found[3].inference


# Limits


async def ask_while_busy(queue, engine, under_way, count):
    """Ask for `count` rows while requests of so many rows are not done; what came of it."""
    works = [ask(queue, engine, several("row", rows)) for rows in under_way]
    await begun(engine)
    assert queue.pending == COST * sum(under_way)
    try:
        work = ask(queue, engine, several("more", count))
        assert queue.pending == COST * (sum(under_way) + count)
    except Problem:
        assert queue.pending == COST * sum(under_way)
        raise
    finally:
        engine.gate.set()
        await asyncio.gather(*works)
    return await work


@pytest.mark.parametrize(
    ("under_way", "count"),
    [([9], 1), ([1], 9), ([5], 5), ([5, 4], 1), ([4, 1], 5), ([400], 5), ([400], 400), ([1], 40)],
)
def test_work_up_to_the_limit_is_let_in_and_no_request_counts_for_more_than_half(make_queue, shut, under_way, count):
    queue = make_queue(limit=10 * COST)
    assert len(asyncio.run(ask_while_busy(queue, shut, under_way, count))) == count
    assert queue.pending == 0


@pytest.mark.parametrize(
    ("under_way", "count"), [([5, 5], 1), ([5, 5], 40), ([1, 5], 5), ([400, 5], 1), ([400, 400], 400), ([1] * 10, 1)]
)
def test_work_past_the_limit_is_refused_be_it_one_or_many(make_queue, shut, under_way, count):
    queue = make_queue(limit=10 * COST)
    with pytest.raises(Problem) as caught:
        asyncio.run(ask_while_busy(queue, shut, under_way, count))
    assert (caught.value.status_code, caught.value.headers) == (429, {"Retry-After": "1"})
    assert queue.pending == 0


def test_a_request_of_any_size_is_let_in_when_there_is_nothing_else(make_queue):
    async def main():
        return await ask(queue, Engine(), several("row", 40))

    queue = make_queue(limit=COST)
    assert len(asyncio.run(main())) == 40
    assert queue.pending == 0


def test_work_that_would_take_half_of_the_time_there_is_is_refused_at_once(make_queue, shut):
    async def main():
        queue, clock = make_queue(threads=1), asyncio.get_running_loop().time
        await ask(queue, Engine(seconds=0.01), several("row", 5))  # 1,000 tokens a second
        works = [ask(queue, shut, ["row"], clock() + 1)]
        await begun(shut)
        works += [ask(queue, shut, ["row"], clock() + 1) for _ in range(20)]
        with pytest.raises(Problem) as caught:
            works += [ask(queue, shut, ["row"], clock() + 1) for _ in range(40)]
        works += [ask(queue, shut, ["row"], clock() + 20)]
        shut.gate.set()
        await asyncio.gather(*works)
        return caught.value

    assert asyncio.run(main()).status_code == 429


def test_a_caller_is_told_to_come_back_when_there_will_be_room(make_queue):
    async def main():
        queue = make_queue(threads=2, limit=100 * COST)
        await ask(queue, Engine(seconds=0.1), several("row", 8))  # 100 tokens a second on each of two threads
        shut.gate.clear()
        works = [ask(queue, shut, several("row", 50)), ask(queue, shut, several("row", 40))]
        await begun(shut)
        told = []
        for count in (11, 30, 50):
            with pytest.raises(Problem) as caught:
                ask(queue, shut, several("more", count))
            told.append(int((caught.value.headers or {})["Retry-After"]))
        shut.gate.set()
        await asyncio.gather(*works)
        return told

    shut = Engine()
    soon, later, latest = asyncio.run(main())
    # Room for 1, 20 and 40 rows of 10 tokens at 200 tokens a second, a little less on a busy machine.
    assert soon == 1
    assert 1 <= later <= 2
    assert 2 <= latest <= 4


# Deadlines and callers who leave


def test_rows_not_begun_by_the_deadline_are_dropped_with_503(make_queue, shut):
    async def main():
        queue = make_queue(threads=1)
        soon = asyncio.get_running_loop().time() + 0.05
        under_way = ask(queue, shut, ["under way"], soon)
        await begun(shut)
        late = ask(queue, shut, ["late"] * 5, soon)
        with pytest.raises(Problem) as caught:
            await asyncio.wait_for(late, 10)
        await asyncio.sleep(0)
        assert queue.pending == COST
        shut.gate.set()
        return caught.value, await under_way

    problem, answers = asyncio.run(main())
    assert problem.status_code == 503
    assert int((problem.headers or {})["Retry-After"]) >= 1
    assert [answer.decision for answer in answers] == shut.asked == ["under way"]


def test_a_request_that_is_too_large_by_itself_is_told_so_and_not_to_wait(make_queue):
    async def main():
        queue = make_queue(threads=1)
        engine = Engine(seconds=0.02)
        await ask(queue, engine, several("row", 5))  # 500 tokens a second
        with pytest.raises(Problem) as caught:
            await ask(queue, engine, several("row", 200), asyncio.get_running_loop().time() + 0.2)
        return caught.value

    problem = asyncio.run(main())
    assert problem.status_code == 503
    assert "This request alone" in problem.detail
    assert problem.headers == {"Retry-After": "1"}


def test_a_request_half_begun_at_its_deadline_is_not_gone_on_with(make_queue, shut):
    async def main():
        queue = make_queue(threads=1)
        work = ask(queue, shut, several("row", 5), asyncio.get_running_loop().time() + 0.05)
        with pytest.raises(Problem):
            await work
        await asyncio.sleep(0)
        assert queue.pending == COST
        shut.gate.set()
        assert len(await ask(queue, shut, ["next"])) == 1
        assert queue.pending == 0

    asyncio.run(main())
    assert shut.asked == ["row 0", "next"]


def test_rows_of_a_caller_who_left_are_taken_out(make_queue, shut):
    async def main():
        queue = make_queue(threads=1)
        first = ask(queue, shut, ["first"])
        await begun(shut)
        gone, waiting = ask(queue, shut, several("gone", 5)), ask(queue, shut, ["waiting"])
        gone.cancel()
        await asyncio.sleep(0)
        assert queue.pending == 2 * COST
        shut.gate.set()
        await asyncio.gather(first, waiting)
        assert queue.pending == 0

    asyncio.run(main())
    assert shut.asked == ["first", "waiting"]


# Crashes


@pytest.mark.parametrize("batch", [1, 8])
def test_a_crash_is_of_its_own_request_and_frees_the_queue(make_queue, batch):
    async def main():
        queue = make_queue(threads=1)
        engine.gate.clear()
        first = ask(queue, engine, ["first"])
        await begun(engine)
        crashing, fine = ask(queue, engine, ["a", "poison", "b"]), ask(queue, engine, ["c", "d"])
        engine.gate.set()
        with pytest.raises(ZeroDivisionError):
            await crashing
        assert [answer.decision for answer in await fine] == ["c", "d"]
        await first
        assert len(await ask(queue, engine, ["after"])) == 1
        assert queue.pending == 0

    engine = Engine(batch)
    asyncio.run(main())


# The end


def test_closing_finishes_the_rows_under_way_and_stops_the_threads(make_queue, shut):
    async def main():
        queue = make_queue(threads=2)
        work = ask(queue, shut, ["row"])
        await begun(shut)
        threading.Timer(0.05, shut.gate.set).start()
        await asyncio.to_thread(queue.close)
        return await work

    before = threading.active_count()
    assert len(asyncio.run(main())) == 1
    assert threading.active_count() <= before


def test_closing_waits_no_longer_than_it_is_told(make_queue, shut):
    async def main():
        queue = make_queue(threads=1)
        ask(queue, shut, ["row"])
        await begun(shut)
        start = time.perf_counter()
        queue.close(patience=0.05)
        return time.perf_counter() - start

    assert asyncio.run(main()) < 5


def test_an_idle_queue_holds_no_predictor(make_queue):
    async def main():
        engine = Engine()
        await asyncio.gather(*(ask(queue, engine, several("row", 3)) for _ in range(4)))
        return weakref.ref(engine)

    queue = make_queue(threads=2)
    engine = asyncio.run(main())
    gc.collect()
    assert engine() is None


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_every_request_ends_rightly_and_nothing_is_left(make_queue, seed):
    chance = random.Random(seed)
    engines = [Engine(batch=batch, seconds=0.0002) for batch in (1, 3, 16)]
    queue = make_queue(threads=3, limit=60 * COST)

    async def one(name):
        await asyncio.sleep(chance.random() * 0.2)
        texts = several(name, chance.randint(1, 30))
        if chance.random() < 0.1:
            texts[-1] = "poison"
        deadline = asyncio.get_running_loop().time() + chance.choice([0.005, 0.02, 10])
        try:
            work = ask(queue, chance.choice(engines), texts, deadline)
            if chance.random() < 0.2:
                asyncio.get_running_loop().call_later(chance.choice([0, 0.005]), work.cancel)
            found = [answer.decision for answer in await work]
        except Problem as problem:
            return problem.status_code
        except ZeroDivisionError:
            assert texts[-1] == "poison"
            return 500
        except asyncio.CancelledError:
            return 499
        assert found == texts
        return 200

    async def main():
        return await asyncio.wait_for(asyncio.gather(*(one(f"request {i}") for i in range(200))), 60)

    ends = asyncio.run(main())
    queue.close()
    assert queue.pending == 0
    assert {200, 429, 499} <= set(ends) <= {200, 429, 499, 500, 503}
