"""This server's predictor alone, in a process without HTTP: the limit of what a server around it can reach."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serve.bench.found import Load, Round
from serve.bench.measure import Plan, resident_mb

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.model_dir import ONNX_FP32, load
from asif_serve.predictor import Predictor, load_predictor

NAME = "engine alone"
THREADS = os.cpu_count() or 1
ABOUT = (
    f"this server's predictor by itself, no HTTP: one row after the other for 1 caller, on {THREADS} threads for more"
)
_ROOT = Path(__file__).parents[2]


def measure(plan: Plan, found: Round) -> None:
    """Fill in one round of the engine, in a process of its own. Raises AsifError if that fails."""
    asked = {"model": str(plan.model), "rows": plan.rows, "seconds": plan.seconds}
    begun = time.time()
    done = subprocess.run(
        [sys.executable, "-m", "serve.bench.engine"],
        input=json.dumps(asked),
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AsifError(f"expected the engine to run, found: {done.stderr.strip()[-300:]}")
    told = json.loads(done.stdout)
    alone, together = Load(**told["alone"]), Load(**told["together"])
    found.loads = {callers: alone if callers == 1 else together for callers in plan.callers}
    found.start, found.memory, found.other = told["answered"] - begun, told["memory"], plan.other(told["labels"])


def float32_labels(model: Path, rows: Sequence[Utterance]) -> list[str]:
    """The best label of each row by the network in float32."""
    directory = load(model)
    form = next(form for form in directory.manifest.forms if form.file == ONNX_FP32)
    return [decision.best for decision in Predictor(directory, form=form)(rows)]


def _here(model: str, rows: Sequence[Utterance], seconds: float) -> dict[str, Any]:
    """Measure the engine in this process."""
    predictor = load_predictor(model)
    predictor(rows[:1])
    answered = time.time()
    labels = [decision.best for decision in predictor(rows)]
    alone, together = _alone(predictor, rows, seconds), _together(predictor, rows, seconds)
    found = {"alone": alone, "together": together, "memory": resident_mb(os.getpid())}
    return found | {"answered": answered, "labels": labels}


def _alone(predictor: Predictor, rows: Sequence[Utterance], seconds: float) -> dict[str, Any]:
    """One row after the other, as one caller would ask."""
    turn, times = itertools.cycle(rows), []
    start = now = time.perf_counter()
    while now - start < seconds:
        predictor([next(turn)])
        last, now = now, time.perf_counter()
        times.append(now - last)
    return {"answered": len(times), "elapsed": now - start, "seconds": times}


def _together(predictor: Predictor, rows: Sequence[Utterance], seconds: float) -> dict[str, Any]:
    """As many threads as the server has by itself, each with as many rows a call as it would take of a queue."""
    batches = itertools.cycle([rows[i : i + predictor.batch] for i in range(0, len(rows), predictor.batch)])
    lock, answered = threading.Lock(), 0
    start = time.perf_counter()

    def work() -> None:
        nonlocal answered
        while time.perf_counter() - start < seconds:
            with lock:
                batch = next(batches)
            predictor(batch)
            with lock:
                answered += len(batch)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"answered": answered, "elapsed": time.perf_counter() - start}


if __name__ == "__main__":
    given = json.load(sys.stdin)
    given["rows"] = [Utterance(*row) for row in given["rows"]]
    print(json.dumps(_here(**given)))  # noqa: T201
