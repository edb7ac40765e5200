"""Start a server, put it under load, and see what comes of it."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from serve.bench.found import Load, Round
from serve.bench.load import HOST, Connection, Reply, Tally, ask, closed_loop
from serve.bench.servers import Place, Server, classify, variables

from asif_data.encoding import Utterance
from asif_data.errors import AsifError

_PATIENCE = 120.0
_BATCH = 256


@dataclass(frozen=True)
class Plan:
    """What every server is asked: rows, of which `labels` are the float32 network's, by so many callers for so many seconds each."""

    model: Path
    rows: Sequence[Utterance]
    labels: Sequence[str]
    callers: Sequence[int]
    seconds: float

    def other(self, labels: Sequence[str]) -> float:
        """The share of rows, 0..1, that have another label here."""
        return sum(one != right for one, right in zip(labels, self.labels, strict=True)) / len(self.labels)


def measure(server: Server, place: Place, plan: Plan, log: Path, found: Round) -> None:
    """Fill in one round of a server, in processes of its own: first answer, every row once, the loads, then batches.

    What the server prints goes to `log`. Raises AsifError that says what went wrong if the server does not start or
    stops answering; what was found before is then in `found`.
    """
    requests, command = [server.request(row) for row in plan.rows], server.command(place)
    begun = time.perf_counter()
    with _running(command, variables(server, place.model), log) as process:
        asyncio.run(_first_answer(process, place.port, requests[0], log))
        found.start = time.perf_counter() - begun
        try:
            asyncio.run(_fill(found, server, process.pid, place.port, plan, requests))
        except (OSError, EOFError, LookupError, TypeError, ValueError) as error:
            raise AsifError(f"stopped answering as expected ({type(error).__name__}); {_last_line(log)}") from error


async def _fill(found: Round, server: Server, pid: int, port: int, plan: Plan, requests: Sequence[bytes]) -> None:
    found.other = plan.other(await _labels(server, port, requests))
    for callers in plan.callers:
        found.loads[callers] = await load(port, requests, callers, plan.seconds)
        found.memory = max(found.memory or 0, resident_mb(pid))
    if server.ours:
        found.beside = await _beside_batches(port, plan.rows, plan.seconds)
        found.memory = max(found.memory or 0, resident_mb(pid))


async def load(port: int, requests: Sequence[bytes], callers: int, seconds: float) -> Load:
    """So many callers ask for so long, one request after the other in turn."""
    turn = itertools.cycle(requests)
    until = time.perf_counter() + seconds
    start, spent = time.perf_counter(), time.process_time()
    async with asyncio.timeout(seconds + _PATIENCE):
        tally = await closed_loop(port, lambda: (next(turn), _whatever), callers, lambda _: time.perf_counter() < until)
    elapsed, spent = time.perf_counter() - start, time.process_time() - spent
    answered = len(tally.seconds)
    return Load(answered, elapsed, tally.seconds, sum(tally.ends.values()) - answered, spent)


async def _beside_batches(port: int, rows: Sequence[Utterance], seconds: float) -> list[float]:
    """Seconds of single requests, asked one after the other while there is always a batch of 256 under way."""
    batch = classify(*itertools.islice(itertools.cycle(rows), _BATCH))
    until, turn = time.perf_counter() + seconds, itertools.cycle(map(classify, rows))

    def go_on(_: Tally) -> bool:
        return time.perf_counter() < until

    async with asyncio.timeout(seconds + _PATIENCE):
        batches = asyncio.create_task(closed_loop(port, lambda: (batch, _whatever), 1, go_on))
        await asyncio.sleep(min(0.2, seconds / 2))
        singles = await closed_loop(port, lambda: (next(turn), _whatever), 1, go_on)
        ends = (await batches).ends
    if set(ends) != {200}:
        raise AsifError(f"expected every batch of {_BATCH} rows to be answered, found {dict(ends)}")
    return singles.seconds


def _whatever(_: Reply) -> None:
    """Statuses are counted; answers have been looked at before."""


async def _labels(server: Server, port: int, requests: Sequence[bytes]) -> list[str]:
    """The best label of every row; also what warms the server up."""
    found, left = [""] * len(requests), iter(range(len(requests)))

    async def call() -> None:
        async with Connection(port) as connection:
            for i in left:
                reply = await connection.ask(requests[i])
                if reply.status != 200:
                    raise AsifError(f"expected an answer, found status {reply.status}")
                found[i] = server.best(reply.json())

    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*(call() for _ in range(8)))
    return found


@contextmanager
def _running(
    command: Sequence[str | Path], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The server's processes, ended with all that they have started."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        family = _family(process.pid)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        psutil.wait_procs(family, 15)


async def _first_answer(process: subprocess.Popen[bytes], port: int, request: bytes, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AsifError(f"ended with status {process.returncode} before it answered; {_last_line(log)}")
        with contextlib.suppress(OSError, EOFError):
            if (await asyncio.wait_for(ask(port, request), _PATIENCE)).status == 200:
                return
        await asyncio.sleep(0.01)
    raise AsifError(f"expected an answer within {_PATIENCE:.0f} s, found none; {_last_line(log)}")


def resident_mb(pid: int) -> float:
    """Memory resident in a process and all that it has started, MB; what they share is counted in each."""
    return sum(process.memory_info().rss for process in _family(pid)) / 2**20


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"its last line: {lines[-1][:200]}" if lines else "it printed nothing"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((HOST, 0)) as listener:
        return listener.getsockname()[1]
