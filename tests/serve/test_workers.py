import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from serve.bench.load import Connection, ask, closed_loop
from tests.serve.load import metrics, texts, within
from tests.serve.processes import COMMAND, environment, running

from asif_data.errors import AsifError
from asif_data.model_dir import MANIFEST, sha256
from asif_serve import workers
from asif_serve.logs import JsonLines
from asif_serve.settings import Settings

CANARY = "quetzalcoatlus-7f3a"
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


def test_workers_share_the_pace_of_a_caller(small_model, tmp_path):
    with running(tmp_path, small_model, ASIF_WORKERS="2", ASIF_RATE="280") as server:  # 20 times 14 tokens
        begin = time.monotonic()
        statuses = [asyncio.run(ask(server.port, FINE)).status for _ in range(60)]
        more = (time.monotonic() - begin) * 280 / 60 / 14
    assert 20 <= statuses.count(200) <= 21 + more
    assert statuses.count(200) + statuses.count(429) == 60


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


def test_workers_log_and_trace_each_request_once_and_nothing_of_what_it_says(small_model, tmp_path, collector):
    numbers = itertools.count()

    def request():
        name = f"request-{next(numbers)}"
        sent = texts(f"You feel {CANARY}.").replace(b"\r\n\r\n", f"\r\nX-Request-Id: {name}\r\n\r\n".encode(), 1)
        return sent, lambda reply: None if reply.headers["x-request-id"] == name else "another id"

    with running(tmp_path, small_model, ASIF_WORKERS="2", ASIF_LOG_LEVEL="info") as server:
        tally = asyncio.run(closed_loop(server.port, request, 8, lambda tally: sum(tally.ends.values()) < 100))
        assert set(tally.ends) == {200} and not tally.wrong
        written = [path for path in tmp_path.rglob("*.db") if path.is_file()]
        assert written and not [path for path in written if CANARY.encode() in path.read_bytes()]
        server.process.terminate()
        assert server.process.stdout and "Serving" not in server.process.stdout.read()  # it is said once, before
        assert server.process.wait(30) == 0

    names = sorted(f"request-{i}" for i in range(next(numbers)))
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert sorted(line["request_id"] for line in lines) == names
    assert {(line["message"], line["route"], line["status"]) for line in lines} == {("request", "/v1/classify", 200)}
    requests = [span for _, span in collector.spans if span.name == "POST /v1/classify"]
    told = [a.value.string_value for span in requests for a in span.attributes if a.key == "asif.request_id"]
    assert sorted(told) == names
    assert len([span for _, span in collector.spans if span.name == "inference"]) == len(names)
    assert CANARY not in server.log.read_text()
    assert not [body for body in collector.bodies if CANARY.encode() in body]


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
    *lines, said = done.stderr.splitlines()
    logged = [json.loads(line)["message"] for line in lines]
    assert [message for message in logged if "expected an ONNX model that can run here" in message]
    assert said == "A worker could not start; what it logged stands above."


def test_a_worker_that_crashes_logs_the_kind_and_place_only(monkeypatch, caplog, capfd):
    def crash(path):
        raise ValueError(f"cannot read {CANARY}")

    monkeypatch.setattr(workers.logs, "set_up", lambda level: None)  # it is for a process of its own
    monkeypatch.setattr(workers, "load_predictor", crash)
    with pytest.raises(SystemExit) as caught:
        workers._work(Settings(), None, {}, None)
    [record] = caplog.records
    line = json.loads(JsonLines().format(record))
    assert (caught.value.code, line["level"], line["error"]) == (1, "critical", "ValueError")
    assert "in crash" in line["where"] and CANARY not in str(line)


def test_where_nothing_may_be_written_workers_say_what_they_need(monkeypatch):
    def refuse(**_):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(workers.tempfile, "TemporaryDirectory", refuse)
    with pytest.raises(AsifError, match=r"^ASIF_WORKERS: expected a folder for temporary files.* set TMPDIR\.$"):
        workers._folder()
