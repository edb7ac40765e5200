import gzip
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asif_serve import cli
from asif_serve.settings import Settings

COMMAND = Path(sys.executable).with_name("asif-serve")
CANARY = "quetzalcoatlus-7f3a"


def environment(**variables):
    return {name: value for name, value in os.environ.items() if not name.startswith("ASIF_")} | variables


@contextmanager
def running(log, *command, cwd=None, **variables):
    """`asif-serve`, or another command that runs it, on a free port: what it prints up to its curl line, and that line."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*(command or [COMMAND]), "--port", "0"],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=cwd,
        )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.strip().startswith("curl "):
                break
        assert lines, log.read_text()
        yield "".join(lines), lines[-1].strip()
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=20)
        watchdog.cancel()
        with log.open("a") as errors:
            errors.write(rest)


def run(**variables):
    return subprocess.run(
        [COMMAND, "--port", "0"], env=environment(**variables), capture_output=True, text=True, timeout=60
    )


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize(("keys", "docs"), [("", "true"), ("a-key,another", "false")])
def test_the_printed_curl_line_works(small_model, small_predictor, tmp_path, keys, docs):
    log = tmp_path / "log"
    with running(log, ASIF_MODEL=str(small_model), ASIF_API_KEYS=keys, ASIF_DOCS=docs) as (printed, line):
        [address] = re.findall(r"on (http://127\.0\.0\.1:\d+)[,\n]", printed)
        assert (f"documentation at {address}/docs\n" in printed) == (docs == "true")
        assert small_predictor.model.manifest.version in printed
        assert address in line and "a-key" not in printed

        done = subprocess.run(
            ["bash", "-c", line], env=os.environ | {"KEY": "a-key"}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        body = json.loads(done.stdout)
        assert body["model"]["version"] == small_predictor.model.manifest.version
        assert len(body["results"]) == 1

        for sent in (f'{{"inputs": "{CANARY}"}}', f'{{"inputs": "{CANARY}'):
            subprocess.run(
                ["curl", "-s", f"{address}/predict?{CANARY}", "-H", "Content-Type: application/json", "-d", sent], check=True,
                capture_output=True, timeout=60,
            )  # fmt: skip
        with urllib.request.urlopen(f"{address}/health/ready", timeout=20) as answer:
            assert json.load(answer) == {"status": "ready"}
    assert CANARY not in log.read_text()
    assert "Traceback" not in log.read_text()


# A server that crashes on the word "crash", with what it read in the message of the exception.
CRASHING = """
from asif_data.encoding import InputEncoder
from asif_serve.cli import main
encode = InputEncoder._encode
def crash(self, utterance):
    if "crash" in utterance.text:
        raise RuntimeError(f"cannot read {utterance}")
    return encode(self, utterance)
InputEncoder._encode = crash
main()
"""
SENT = {
    "fine": ("/v1/classify", {"utterances": [{"text": CANARY, "context": CANARY, "id": "1"}]}, 200),
    "explained": ("/v1/classify", {"utterances": [{"text": f"{CANARY} is lost."}], "explain": True}, 200),
    "predict": ("/predict", {"inputs": CANARY}, 200),
    "wrong": ("/v1/classify", {"utterances": CANARY, CANARY: CANARY}, 422),
    "broken": ("/predict", f'{{"inputs": "{CANARY}'.encode(), 422),
    "no UTF-8": ("/predict", f'{{"inputs": "{CANARY} \xff"}}'.encode("latin-1"), 422),
    "long": ("/predict", {"inputs": f"{CANARY} " * 5_000}, 413),
    "large": ("/predict", {"inputs": f"{CANARY} " * 150_000}, 413),
    "crash": ("/predict", {"inputs": f"{CANARY} crash"}, 500),
    "crash in a large batch": ("/predict", {"inputs": [CANARY] * 200 + [f"{CANARY} crash"]}, 500),
    "elsewhere": (f"/{CANARY}?{CANARY}={CANARY}", {"inputs": CANARY}, 404),
}


def post(address, path, body, **headers):
    """Status of the answer; what it says must not repeat the canary."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc, timeout=60)
    with closing(connection):  # and kept open till then: a body may be refused before all of it is sent
        connection.request("POST", path, content, {"Content-Type": "application/json"} | headers)
        answer = connection.getresponse()
        assert CANARY not in f"{answer.headers}{answer.read()}"
        return answer.status


def test_a_process_writes_nothing_of_what_it_reads(small_model, tmp_path):
    """To no log, metric, answer or file: also where a request is wrong, too large, of another kind, or crashes."""
    log, home = tmp_path / "log", tmp_path / "home"
    home.mkdir()
    places = {"TMPDIR": str(home), "HOME": str(home), "XDG_CACHE_HOME": str(home)}
    command = [sys.executable, "-X", "pycache_prefix=", "-c", CRASHING]
    with running(log, *command, cwd=home, ASIF_MODEL=str(small_model), ASIF_LOG_LEVEL="debug", **places) as (
        printed,
        _,
    ):
        [address] = re.findall(r"on (http://127\.0\.0\.1:\d+),", printed)
        for path, body, status in SENT.values():
            assert post(address, path, body) == status
        form = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + CANARY.encode() * 90_000
        assert post(address, "/predict", form, **{"Content-Type": "multipart/form-data; boundary=x"}) == 415
        assert post(address, "/predict", gzip.compress(CANARY.encode()), **{"Content-Encoding": "gzip"}) == 415
        with urllib.request.urlopen(f"{address}/metrics", timeout=20) as answer:
            metrics = answer.read().decode()
    assert 'asif_requests_total{path="/predict",status="500"} 2.0' in metrics and CANARY not in metrics
    assert not [path for path in home.rglob("*") if path.is_file()]
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.strip()]
    assert [line["status"] for line in lines if line["message"] == "request"] == [
        *(status for _, _, status in SENT.values()), 415, 415, 200,
    ]  # fmt: skip
    assert [line["level"] for line in lines].count("error") == 2
    assert CANARY not in log.read_text().lower()


def is_one_sentence(text):
    return text.count("\n") == 1 and text.endswith(".\n") and "Traceback" not in text


def test_a_missing_model_is_one_sentence_and_status_1(tmp_path):
    done = run(ASIF_MODEL=str(tmp_path / "nowhere"))
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_sentence(done.stderr)
    assert str(tmp_path / "nowhere") in done.stderr


@pytest.mark.parametrize("name", ["tokenizer.json", "onnx/model.onnx"])
def test_a_changed_file_is_one_sentence_and_status_1(small_model, tmp_path, name):
    copy = tmp_path / "model"
    shutil.copytree(small_model, copy, copy_function=os.link)
    changed = copy / name
    changed.unlink()
    changed.write_bytes((small_model / name).read_bytes() + b" ")
    done = run(ASIF_MODEL=str(copy))
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_sentence(done.stderr)
    assert f"{changed}: " in done.stderr and "changed" in done.stderr


# Without a process of its own


@pytest.fixture
def start(monkeypatch, capfd, fake):
    """Call `main` with the fake predictor; its exit status and what it printed to stderr."""

    def call(*arguments):
        monkeypatch.setattr(cli, "load_predictor", lambda path: fake)
        monkeypatch.setattr(cli.logs, "set_up", lambda level: None)  # it is for a process of its own
        monkeypatch.setattr(sys, "argv", ["asif-serve", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, capfd.readouterr().err

    return call


@pytest.mark.parametrize(
    ("variable", "value"), [("ASIF_PORT", "http"), ("ASIF_MAX_ROWS", "0"), ("ASIF_HOST", "0.0.0.0"), ("ASIF_DOCS", "x")]
)
def test_a_bad_setting_is_one_sentence_and_status_1(start, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    status, errors = start()
    assert status == 1
    assert is_one_sentence(errors)
    assert errors.startswith(f"{variable}: ")


@pytest.mark.parametrize("arguments", [["--port", "65536"], ["--port", "http"], ["--prot", "1"], ["more"]])
def test_a_bad_argument_is_status_2(start, arguments):
    assert start(*arguments)[0] == 2


def test_a_port_in_use_is_status_1(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, errors = start("--port", str(taken.getsockname()[1]))
    assert status == 1
    assert "Traceback" not in errors


def test_help_names_every_setting():
    done = CliRunner().invoke(cli.app, ["--help"])
    assert done.exit_code == 0
    assert all(f"ASIF_{name.upper()}:" in done.output for name in Settings.model_fields)
