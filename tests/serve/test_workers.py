import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.serve.load import Connection, ask, closed_loop, metrics, texts, within

from asif_data.model_dir import MANIFEST, sha256

COMMAND = Path(sys.executable).with_name("asif-serve")
FINE = texts("It sounds like you felt utterly abandoned.")


@dataclass
class Running:
    """`asif-serve` with two workers."""

    process: subprocess.Popen
    port: int
    log: Path

    def workers(self):
        """Process ids of the workers: the supervisor's grandchildren."""
        lines = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
        ).stdout
        living = [line.split()[:2] for line in lines.splitlines() if "Z" not in line.split()[2]]
        parents = {int(pid): int(parent) for pid, parent in living}
        return [pid for pid, parent in parents.items() if parents.get(parent) == self.process.pid]

    async def whole(self):
        """Whether both workers answer."""
        return (await metrics(self.port)).get(("asif_workers",)) == 2


def environment(folder, model, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASIF_")}
    return kept | {"ASIF_MODEL": str(model), "ASIF_WORKERS": "2", "TMPDIR": str(folder)} | variables


@contextmanager
def running(folder, model, **variables):
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [COMMAND, "--port", "0"],
            env=environment(folder, model, **variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        assert process.stdout
        [port] = re.findall(r"on http://127\.0\.0\.1:(\d+),", process.stdout.readline()) or [log.read_text()]
        yield Running(process, int(port), log)
    finally:
        process.terminate()
        process.communicate(timeout=60)
        watchdog.cancel()


@pytest.fixture
def server(small_model, tmp_path):
    with running(tmp_path, small_model) as found:
        yield found


def test_workers_share_the_requests_and_their_metrics_add_up(server):
    async def main():
        tally = await closed_loop(server.port, lambda: (FINE, lambda _: None), 16, lambda t: sum(t.ends.values()) < 200)
        assert set(tally.ends) == {200}
        # Whichever worker is asked.
        for _ in range(20):
            found = await metrics(server.port)
            assert found["asif_requests_total", "/v1/classify", "200"] == tally.ends[200]
            assert found["asif_request_seconds_count", "/v1/classify"] == tally.ends[200]
            assert found["asif_workers",] == 2
            assert [found[key] for key in found if key[0] == "asif_model_info"] == [1]

        async def told():
            return (await metrics(server.port)).get(("asif_recent_rows",), 0) > 0.8 * tally.ends[200]

        await within(10, told)

    asyncio.run(main())


def test_a_killed_worker_is_replaced_and_nothing_is_forgotten(server):
    async def main():
        for _ in range(20):
            assert (await ask(server.port, FINE)).status == 200
        first = server.workers()
        async with Connection(server.port) as one, Connection(server.port) as other:
            connections = [one, other]
            for connection in connections:
                assert (await connection.ask(FINE)).status == 200
            for pid in first:
                os.kill(pid, signal.SIGKILL)
            for connection in connections:
                # An end, never silence.
                assert await asyncio.wait_for(connection.reader.read(), 10) == b""
        await within(20, server.whole)
        assert len(server.workers()) == 2 and not set(first) & set(server.workers())
        assert (await ask(server.port, FINE)).status == 200
        assert (await metrics(server.port))["asif_requests_total", "/v1/classify", "200"] == 23
        for pid in first:
            assert f"worker {pid} has died with status -9" in server.log.read_text()

    asyncio.run(main())


def test_sigterm_finishes_what_is_under_way_and_leaves_nothing_behind(server, tmp_path):
    async def main():
        async with Connection(server.port) as connection:
            connection.writer.write(texts(*["It sounds like you felt utterly abandoned."] * 200))

            async def under_way():
                return (await metrics(server.port))["asif_queue_tokens",] > 0

            await within(20, under_way)
            workers = server.workers()
            server.process.terminate()
            reply = await connection.read()
            assert (reply.status, len(reply.json()["results"])) == (200, 200)
            return workers

    workers = asyncio.run(main())
    assert server.process.wait(20) == 0
    assert not any(alive(pid) for pid in workers)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert server.log.read_text() == ""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_do_not_outlive_their_supervisor(server):
    workers = server.workers()
    assert len(workers) == 2
    server.process.kill()
    until = time.monotonic() + 20
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < until
        time.sleep(0.05)


def run(folder, model):
    return subprocess.run(
        [COMMAND, "--port", "0"], env=environment(folder, model), capture_output=True, text=True, timeout=60
    )


def test_a_model_that_does_not_verify_is_one_sentence_and_status_1(tmp_path):
    done = run(tmp_path, tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1 and "nowhere" in done.stderr


def test_workers_that_cannot_start_say_why_and_the_status_is_1(small_model, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(small_model, copy)
    manifest = json.loads((copy / MANIFEST).read_text())
    for form in manifest["forms"]:
        (copy / form["file"]).write_bytes(b"this is no model")
        manifest["sha256"][form["file"]] = sha256(copy / form["file"])
    (copy / MANIFEST).write_text(json.dumps(manifest))
    done = run(tmp_path, copy)
    assert (done.returncode, done.stdout) == (1, "")
    assert "expected an ONNX model that can run here" in done.stderr
    assert "Traceback" not in done.stderr
