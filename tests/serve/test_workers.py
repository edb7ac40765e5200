import asyncio
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from tests.serve.load import Connection, ask, closed_loop, metrics, texts, within
from tests.serve.processes import COMMAND, environment, running

from asif_data.model_dir import MANIFEST, sha256

FINE = texts("It sounds like you felt utterly abandoned.")


@pytest.fixture
def server(small_model, tmp_path):
    with running(tmp_path, small_model, ASIF_WORKERS="2") as found:
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
    variables = environment(folder, model, ASIF_WORKERS="2")
    return subprocess.run([COMMAND, "--port", "0"], env=variables, capture_output=True, text=True, timeout=60)


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
