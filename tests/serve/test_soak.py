"""A server under load, faults and swaps, for minutes. Figures are told in the terminal; a busy machine makes them worse."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest
from serve.bench.load import Connection, Tally, ask, closed_loop, head, post
from tests.serve.load import metrics, open_loop, texts, within
from tests.serve.processes import running

from asif_data.encoding import Utterance
from asif_data.model_dir import MANIFEST, load
from asif_serve.predictor import load_predictor

pytestmark = pytest.mark.soak
SECONDS = float(os.environ.get("ASIF_SOAK_SECONDS", "60"))
REQUESTS = int(os.environ.get("ASIF_SOAK_REQUESTS", "20000"))
MODEL_VARIABLE = "ASIF_SOAK_MODEL"
GIVEN = os.environ.get(MODEL_VARIABLE)  # the settings of a developer are taken away from tests
FAULTS = {"ConnectionResetError", "ConnectionRefusedError", "IncompleteReadError", "BrokenPipeError"}


@pytest.fixture(scope="module")
def model(request):
    """The model of ASIF_SOAK_MODEL, or the small one."""
    return Path(GIVEN).resolve() if GIVEN else request.getfixturevalue("small_model")


@pytest.fixture
def tell(capsys):
    """Show a line of figures, also where the test passes."""

    def show(line):
        with capsys.disabled():
            sys.stdout.write(f"\n  {line}\n")

    return show


@pytest.fixture(scope="module")
def rows(corpus_rows):
    return [Utterance(row.text, row.context) for row in corpus_rows if row.split == "test"][:300]


class Known:
    """Requests whose right answers are known, by version of the model that answers."""

    def __init__(self, rows, *paths):
        self.rows = rows
        self.right = {}
        for path in paths:
            predictor = load_predictor(path)
            self.right[predictor.model.manifest.version] = predictor(rows)
        self._chance = random.Random(0)

    def single(self):
        return self.batch(1)

    def batch(self, size, **fields):
        """A request for so many rows, and what checks the answer."""
        chosen = [self._chance.randrange(len(self.rows)) for _ in range(size)]
        body = {"utterances": [self.rows[i]._asdict() | {"id": str(i)} for i in chosen]} | fields
        return post("/v1/classify", body), lambda reply: self._check(chosen, reply)

    def mixed(self):
        """Mostly single rows, some batches, a few explanations."""
        kind = self._chance.random()
        if kind < 0.85:
            return self.single()
        return self.batch(self._chance.randint(2, 16)) if kind < 0.99 else self.batch(1, explain=True)

    def _check(self, chosen, reply):
        if reply.status in (429, 503):
            late = int(reply.headers.get("retry-after", "0"))
            return None if late >= 1 else f"{reply.status} without Retry-After"
        if reply.status != 200:
            return f"status {reply.status}"
        body = reply.json()
        right = self.right.get(body["model"]["version"])
        if right is None:
            return f"an answer of {body['model']['version']}"
        if [result["id"] for result in body["results"]] != [str(i) for i in chosen]:
            return "rows are missing or in another order"
        for i, result in zip(chosen, body["results"], strict=True):
            near = all(
                abs(result["scores"][label] - score) < 1e-5
                for label, score in zip(right[i].labels, right[i].scores, strict=True)
            )
            if not near or (result["label"], result["reason"]) != (right[i].label, right[i].reason):
                return f"another answer than that of {body['model']['version']}"
        return None


@pytest.fixture(scope="module")
def known(rows, model):
    return Known(rows, model)


def for_seconds(seconds):
    """A load that goes on for so long."""
    until = asyncio.get_running_loop().time() + seconds
    return lambda _: asyncio.get_running_loop().time() < until


async def capacity(port, known, seconds):
    """Single rows answered in a second, when there are always some waiting."""
    tally = await closed_loop(port, known.single, 16, for_seconds(seconds))
    assert set(tally.ends) == {200} and not tally.wrong
    return tally.ends[200] / seconds


def test_five_times_what_it_can_do_loses_nothing(model, known, tmp_path, tell):
    async def main(port):
        most = await capacity(port, known, SECONDS / 6)
        tally = await open_loop(port, known.mixed, 5 * most, SECONDS)
        after = await capacity(port, known, SECONDS / 12)
        tell(f"alone {most:.0f} rows/s; asked five times as much: {tally}; afterwards {after:.0f} rows/s")
        assert set(tally.ends) <= {200, 429, 503}
        assert not tally.wrong, tally.wrong[:5]
        assert tally.ends[200] > 0.2 * most * SECONDS  # a request of the mix has more rows than one, and 429 costs too
        assert after > 0.5 * most
        assert (await metrics(port))["asif_queue_tokens",] == 0

    with running(tmp_path, model, patience=20 * SECONDS) as server:
        asyncio.run(main(server.port))
        assert server.log.read_text() == ""


def test_a_batch_does_not_keep_single_rows_waiting(model, known, tmp_path, tell):
    async def main(port):
        await capacity(port, known, 2)
        count = max(100, int(10 * SECONDS))
        quiet = await closed_loop(port, known.single, 1, lambda t: len(t.seconds) < count)
        stop = False
        batches = asyncio.create_task(closed_loop(port, lambda: known.batch(256), 1, lambda _: not stop))
        await asyncio.sleep(0.5)
        beside = await closed_loop(port, known.single, 1, lambda t: len(t.seconds) < count)
        stop = True
        large = await batches
        tell(f"single rows alone: {quiet}; beside batches of 256: {beside}; the batches: {large}")
        assert set(quiet.ends) | set(beside.ends) | set(large.ends) == {200}
        assert not quiet.wrong + beside.wrong + large.wrong
        assert beside.quantile(0.99) <= 3 * quiet.quantile(0.99)

    with running(tmp_path, model, patience=20 * SECONDS) as server:
        asyncio.run(main(server.port))


async def misbehave(port, kind, chance):
    """One bad caller, until the server ends it; nothing if it leaves by itself."""
    whole = texts("It sounds like you felt utterly abandoned.", "He left without a word.")
    async with Connection(port) as connection:
        with contextlib.suppress(OSError, EOFError):
            if kind == "drips":
                for byte in whole:
                    connection.writer.write(bytes([byte]))
                    await asyncio.sleep(0.3 * chance.random())
                    if connection.reader.at_eof():
                        return
            elif kind != "says nothing":
                connection.writer.write(whole[: chance.randrange(1, len(whole))])
            if kind == "leaves half-way":
                await asyncio.sleep(0.2 * chance.random())
                return
            if kind == "leaves before the answer":
                connection.writer.write(texts(*["You felt utterly abandoned."] * 20))
                await asyncio.sleep(0.01)
                return
            # The server ends it: with an answer, or by closing.
            await asyncio.wait_for(connection.reader.read(), 20)


BAD = ["drips", "says nothing", "stops half-way", "leaves half-way", "leaves before the answer"]


def test_bad_callers_do_not_harm_the_others(model, known, tmp_path, tell):
    async def main(server):
        chance, until = random.Random(0), for_seconds(SECONDS / 2)

        async def bad(kind):
            count = 0
            while until(None):
                await misbehave(server.port, kind, chance)
                count += 1
            return count

        callers = [asyncio.create_task(bad(kind)) for kind in BAD for _ in range(30)]
        tally = await closed_loop(server.port, known.single, 4, until)
        counts = await asyncio.gather(*callers)
        tell(f"good callers beside {sum(counts)} bad ones: {tally}")
        assert set(tally.ends) == {200} and not tally.wrong

        async def forgotten():
            return open_files(server.process.pid) <= before + 2

        await within(10, forgotten)
        assert (await metrics(server.port))["asif_queue_tokens",] == 0

    with running(tmp_path, model, patience=20 * SECONDS, ASIF_DEADLINE="3") as server:
        before = open_files(server.process.pid)
        asyncio.run(main(server))
        assert "Traceback" not in server.log.read_text()


def open_files(pid):
    folder = Path(f"/proc/{pid}/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_a_killed_worker_is_back_within_two_seconds(model, known, tmp_path, tell):
    async def main(server):
        chance, back, told = random.Random(0), [], []

        async def kill():
            for _ in range(max(2, int(SECONDS / 12))):
                await asyncio.sleep(3)
                os.kill(chance.choice(server.workers()), signal.SIGKILL)
                await within(10, lambda: short(server))
                back.append(await within(30, server.whole))
                told.append((await metrics(server.port))["asif_requests_total", "/v1/classify", "200"])

        killing = asyncio.create_task(kill())
        tally = await closed_loop(server.port, known.mixed, 8, lambda _: not killing.done())
        await killing
        seconds = ", ".join(f"{second:.2f}" for second in back)
        tell(f"a worker was missing for {seconds} s; callers saw: {tally}")
        assert set(tally.ends) <= {200, *FAULTS}
        assert not tally.wrong, tally.wrong[:5]
        # Each kill meets no more than the callers there are, once.
        assert sum(tally.ends[fault] for fault in FAULTS) <= 8 * len(back)
        found = (await metrics(server.port))["asif_requests_total", "/v1/classify", "200"]
        assert told == sorted(told)
        assert tally.ends[200] <= found <= sum(tally.ends.values())
        assert max(back) < 2

    with running(tmp_path, model, patience=20 * SECONDS, ASIF_WORKERS="2") as server:
        asyncio.run(main(server))


async def short(server):
    return not await server.whole()


def test_sigterm_under_load_answers_what_was_begun(model, known, tmp_path, tell):
    async def main(server):
        stopping = False
        load = asyncio.create_task(closed_loop(server.port, known.mixed, 16, lambda _: not stopping))
        await asyncio.sleep(3)
        begin = asyncio.get_running_loop().time()
        server.process.terminate()
        status = await asyncio.to_thread(server.process.wait, 60)
        took = asyncio.get_running_loop().time() - begin
        stopping = True
        tally = await load
        tell(f"stopped in {took:.1f} s; callers saw: {tally}")
        assert status == 0
        assert set(tally.ends) <= {200, *FAULTS} and not tally.wrong

    for workers in ("1", "2"):
        with running(tmp_path, model, patience=20 * SECONDS, ASIF_WORKERS=workers) as server:
            asyncio.run(main(server))
            assert server.log.read_text() == ""


def variant(model, path, version, temperature):
    """A copy of a model that answers a little otherwise."""
    shutil.copytree(model, path, copy_function=os.link)
    manifest = json.loads((model / MANIFEST).read_text())
    manifest["version"] = version
    manifest["calibration"]["temperature"] *= temperature
    (path / MANIFEST).unlink()
    (path / MANIFEST).write_text(json.dumps(manifest))
    return path


@pytest.mark.parametrize("workers", ["1", "2"])
def test_swaps_under_load_drop_and_mix_nothing(model, rows, tmp_path, tell, workers):
    folder = tmp_path / "models"
    folder.mkdir()
    paths = [variant(model, folder / name, name, t) for name, t in (("one", 1.0), ("two", 1.5), ("bad", 1.0))]
    changed = folder / "bad" / "config.json"
    changed.unlink()
    changed.write_text("{}")
    known = Known(rows, *paths[:2])
    assert load(paths[1]).manifest.version == "two"

    def point(name):
        link = folder / ".link"
        link.symlink_to(name)
        link.replace(folder / "current")

    async def main(server):
        sizes, seen = [], Tally()

        async def swap():
            for name, _ in zip(itertools.cycle(["two", "bad", "one"]), range(max(3, int(SECONDS / 4))), strict=False):
                point(name)

                async def there(name=name):
                    found = await metrics(server.port)
                    kind = "asif_model_refused" if name == "bad" else "asif_model_info"
                    versions = [key[1] for key in found if key[0] == "asif_model_info"]
                    return (kind, name) in found and (name == "bad" or versions == [name])

                await within(30, there)
                sizes.append(server.memory())

        swapping = asyncio.create_task(swap())
        seen = await closed_loop(server.port, known.mixed, 8, lambda _: not swapping.done())
        await swapping
        tell(f"{len(sizes)} moves of the link: {seen}; memory {sizes[0]:.0f} to {sizes[-1]:.0f} MB")
        assert set(seen.ends) == {200} and not seen.wrong, seen.wrong[:5]
        # Old models are let go: a later swap costs nothing on top of the first ones.
        assert sizes[-1] < 1.25 * max(sizes[:3])

    point("one")
    with running(tmp_path, folder / "current", patience=20 * SECONDS, ASIF_WORKERS=workers) as server:
        asyncio.run(main(server))
        complaints = server.log.read_text().splitlines()
        bad = [line for line in complaints if "is refused" in line]
        assert bad == complaints and all(str(changed) in line for line in bad)


def test_memory_stays_flat(model, known, tmp_path, tell):
    async def main(server):
        sizes = []

        def go_on(tally):
            count = sum(tally.ends.values())
            if count >= len(sizes) * REQUESTS / 10:
                sizes.append(server.memory())
            return count < REQUESTS

        tally = await closed_loop(server.port, known.mixed, 8, go_on)
        sizes.append(server.memory())
        tell(f"{sum(tally.ends.values())} requests: {tally}; memory in MB: {', '.join(f'{s:.0f}' for s in sizes)}")
        assert set(tally.ends) == {200} and not tally.wrong
        # The first fifth is for pools and caches to fill.
        assert sizes[-1] < 1.05 * max(sizes[2:4])

    with running(tmp_path, model, patience=36_000) as server:
        asyncio.run(main(server))
        assert (asyncio.run(ask(server.port, head("GET", "/health/ready")))).status == 200
