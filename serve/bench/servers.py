"""The servers that are measured beside each other: how each is started, asked and read."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serve.bench.environments import dynamic_int8
from serve.bench.load import post

from asif_data.encoding import Utterance

PEERS = Path(__file__).parent / "peers"
_CORES = str(os.cpu_count() or 1)
# No model hub, and nobody is told that this runs.
_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "1",
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "INFINITY_HOME": ".bench/infinity",
}


@dataclass(frozen=True)
class Place:
    """What a server needs to start: its environment's `bin`, the model directory, a folder for what it makes of it, a free port."""

    bin: Path
    model: Path
    cache: Path
    port: int


@dataclass(frozen=True)
class Server:
    """One of the servers. `best` reads the label with the highest score out of an answer's JSON."""

    name: str
    about: str
    command: Callable[[Place], list[str | Path]]
    request: Callable[[Utterance], bytes]
    best: Callable[[Any], str]
    variables: Mapping[str, str] = field(default_factory=dict)
    # A file of exact versions for an environment of its own; without one it runs in this one.
    requirements: Path | None = None
    ours: bool = False


def classify(*utterances: Utterance) -> bytes:
    """A request to this server's /v1/classify."""
    return post("/v1/classify", {"utterances": [{"text": u.text, "context": u.context} for u in utterances]})


def _ours(workers: int) -> Server:
    return Server(
        name=f"asif, {workers} {'worker' if workers == 1 else 'workers'}",
        about=f"`asif-serve` as it comes, with a line of log a request; ASIF_WORKERS={workers}",
        command=lambda place: [place.bin / "asif-serve", "--port", str(place.port)],
        request=classify,
        best=lambda body: max(body["results"][0]["scores"].items(), key=lambda item: item[1])[0],
        variables={"ASIF_WORKERS": str(workers)},
        ours=True,
    )


def _pair(path: str) -> Callable[[Utterance], bytes]:
    return lambda u: post(path, {"text": u.text, "context": u.context})


def _joined(utterance: Utterance) -> bytes:
    """infinity's /classify takes texts, no pairs: the separator between the two is written out, and read as one token."""
    parts = [utterance.text, utterance.context] if utterance.context else [utterance.text]
    return post("/classify", {"model": "asif", "input": [" [SEP] ".join(parts)]})


def _best(scores: list[dict[str, Any]]) -> str:
    return max(scores, key=lambda one: one["score"])["label"]


ASIF, ASIF_TWO = _ours(1), _ours(2)
NAIVE = Server(
    name="FastAPI + pipeline",
    about="the naive server: FastAPI around a transformers pipeline",
    command=lambda place: [sys.executable, PEERS / "pipeline.py", str(place.model), str(place.port)],
    request=_pair("/classify"),
    best=_best,
)
PLAIN = Server(
    name="FastAPI + ONNX Runtime int8",
    about="FastAPI around ONNX Runtime, dynamic int8 (`quantize_dynamic`, its defaults), one row at a time",
    command=lambda place: [
        *(sys.executable, PEERS / "onnx_int8.py", str(place.model)),
        *(dynamic_int8(place.model, place.cache), str(place.port)),
    ],
    request=_pair("/classify"),
    best=_best,
)
INFINITY = Server(
    name="infinity",
    about="infinity_emb /classify, torch; it takes no pairs, so the two texts are sent as one around a written [SEP]",
    command=lambda place: [
        place.bin / "infinity_emb",
        *("v2", "--model-id", str(place.model), "--served-model-name", "asif", "--port", str(place.port)),
        *("--host", "127.0.0.1", "--engine", "torch", "--device", "cpu", "--no-bettertransformer"),
    ],
    request=_joined,
    best=lambda body: _best(body["data"][0]),
    requirements=PEERS / "infinity.txt",
)
LITSERVE = Server(
    name="LitServe",
    about=f"LitServe around the network in torch, {_CORES} workers of one thread, batches of up to 8",
    command=lambda place: [place.bin / "python", PEERS / "lit.py", str(place.model), str(place.port), _CORES],
    request=_pair("/predict"),
    best=_best,
    requirements=PEERS / "litserve.txt",
)
SERVERS = (ASIF, ASIF_TWO, NAIVE, PLAIN, INFINITY, LITSERVE)


def variables(server: Server, model: Path) -> dict[str, str]:
    """The environment variables that a server is started with: a developer's own settings change no figure."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("ASIF_", "OTEL_"))}
    return kept | _QUIET | {"ASIF_MODEL": str(model)} | dict(server.variables)
