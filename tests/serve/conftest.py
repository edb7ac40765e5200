"""A predictor without a model, apps over it, and a server on a real socket."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from asif_data.encoding import Encoded, Utterance
from asif_data.labels import LABELS
from asif_data.model_dir import (
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    Calibration,
    Form,
    Manifest,
    ModelDirectory,
    ScopeCalibration,
)
from asif_serve.app import create_app
from asif_serve.decision import Decision, decide
from asif_serve.predictor import Predictor, load_predictor
from asif_serve.settings import Settings

MARKERS = ("you", "sorry", "me")
MAX_TOKENS = 50
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110
CALIBRATION = Calibration(
    temperature=1,
    scope=ScopeCalibration(slope=1, intercept=0),
    scope_threshold=0.5,
    confidence_threshold=0.6,
    set_coverage=0.95,
    set_threshold=0.2,
)


class FakePredictor:
    """
    Goes by three words of the utterance: "you" is empathy, "sorry" sympathy, "me" over-identification.

    Two of them are uncertain, none is out of scope; in the context they count for a little. While `gate` is
    closed nothing is answered; with `crash` every answer is an exception that holds the utterances.
    """

    batch = 1

    def __init__(
        self, path: Path, labels: tuple[str, ...] = LABELS, version: str = "20260101-000000", **manifest: Any
    ) -> None:
        self.labels = labels
        self.form = Form(
            file="onnx/fake.onnx", precision="fp32", rows=1, macro_f1_loss=0, decisions_changed=0, rows_per_second=1
        )
        self.model = ModelDirectory(path, self._manifest(version, **manifest), "a" * 64)
        self.gate, self.busy = threading.Event(), threading.Event()
        self.gate.set()
        self.crash = False

    def _manifest(self, version: str, **fields: Any) -> Manifest:
        return Manifest(
            name="fake",
            version=version,
            created=datetime(2026, 1, 1, tzinfo=UTC),
            labels=list(self.labels),
            encoding_version=1,
            max_tokens=MAX_TOKENS,
            calibration=CALIBRATION,
            forms=[self.form],
            base_model="fake-base",
            base_model_sha256="b" * 64,
            recipe={},
            corpus_sha256="c" * 64,
            corpus_rows={},
            training=[],
            libraries={},
            git_commit=None,
            sha256=dict.fromkeys([self.form.file, CONFIG, TOKENIZER, WEIGHTS], "f" * 64),
            **fields,
        )

    def encoder(self, utterances: Sequence[Utterance]) -> list[Encoded]:
        if self.crash:
            raise RuntimeError(f"cannot read {utterances}")
        return [self._encode(utterance) for utterance in utterances]

    def _encode(self, utterance: Utterance) -> Encoded:
        parts = [utterance.text, utterance.context or ""]
        for part in parts:
            part.encode()  # like a real tokenizer, it reads only what UTF-8 can hold
        words = [re.findall(r"\w+", part.lower()) for part in parts]
        ids = [MARKERS.index(word) + 1 if word in MARKERS else 0 for part in words for word in part]
        types = [0] * len(words[0]) + [1] * len(words[1])
        return Encoded(ids[:MAX_TOKENS], types[:MAX_TOKENS], len(ids) > MAX_TOKENS)

    def decide(self, encoded: Sequence[Encoded]) -> list[Decision]:
        self.busy.set()
        assert self.gate.wait(30)
        logits = np.full((len(encoded), len(self.labels)), -6.0)
        for row, one in zip(logits, encoded, strict=True):
            pairs = set(zip(one.input_ids, one.token_type_ids, strict=True))
            for marker in range(len(self.labels)):
                row[marker] += 12 * ((marker + 1, 0) in pairs) + 3 * ((marker + 1, 1) in pairs)
        return decide(logits, self.labels, self.model.manifest.calibration)

    def __call__(self, utterances: Sequence[Utterance]) -> list[Decision]:
        return self.decide(self.encoder(utterances))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own ASIF_ and OTEL_ variables change no test."""
    for name in os.environ:
        if name.upper().startswith(("ASIF_", "OTEL_")):
            monkeypatch.delenv(name)


@pytest.fixture
def make_fake(tmp_path: Path) -> Callable[..., Any]:
    """Make a fake predictor, with other labels, version or fields of the manifest. Its model directory is empty."""
    return lambda path=tmp_path, **options: FakePredictor(path, **options)


@pytest.fixture
def fake(make_fake: Callable[..., Any]) -> Any:
    return make_fake()


@pytest.fixture
def make_client(fake: Any) -> Iterator[Callable[..., TestClient]]:
    """A client of an app over the fake predictor, or another, or None; settings by keyword."""
    with ExitStack() as stack:

        def make(predictor: Any = fake, **settings: Any) -> TestClient:
            return stack.enter_context(TestClient(create_app(Settings(**settings), predictor)))

        yield make
        fake.gate.set()


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client()


@pytest.fixture(scope="session")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One client for tests that ask a hundred times."""
    predictor: Any = FakePredictor(tmp_path_factory.mktemp("fake"))
    with TestClient(create_app(Settings(), predictor)) as client:
        yield client


@pytest.fixture(scope="session")
def small_predictor(small_model: Path) -> Predictor:
    """The small model, in its fastest form."""
    return load_predictor(small_model)


@pytest.fixture(scope="session")
def small_client(small_predictor: Predictor) -> Iterator[TestClient]:
    """A client of an app over the small model."""
    with TestClient(create_app(Settings(), small_predictor)) as client:
        yield client


@pytest.fixture(scope="session")
def problem() -> Callable[..., dict[str, Any]]:
    """Check that an answer is an error of this status in the one shape of all errors; return its body."""

    def check(response: Any, status: int) -> dict[str, Any]:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        assert list(body) == ["type", "title", "status", "detail", "errors"]
        assert (body["type"], body["title"], body["status"]) == (
            "about:blank",
            TITLES.get(status) or HTTPStatus(status).phrase,
            status,
        )
        assert body["detail"].endswith(".")
        assert all(list(error) == ["field", "message"] for error in body["errors"])
        return body

    return check


@contextmanager
def _listen(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive() and time.monotonic() < deadline
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="session")
def listen() -> Callable[[FastAPI], AbstractContextManager[str]]:
    """Serve an app on a real socket; yields its address."""
    return _listen
