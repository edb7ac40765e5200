"""The README's walk from 500 labels in Label Studio to a promoted model, run as it stands beside a running server."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from asif_data import model_dir
from asif_data.labels import MARKS
from asif_data.rows import SPLITS, Row, write_rows
from asif_train.fit import fit
from asif_train.recipe import read_recipe

ROOT = Path(__file__).parents[2]
PER_SPLIT = {"train": 40, "validation": 12, "test": 32}  # rows of each label in the corpus of the walk
ASKED = {"utterances": [{"text": "It sounds like you felt left out of all of it."}]}


def walk() -> str:
    """The commands, as the README has them."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## You have 500 new labels in Label Studio")[1]
    found = re.search(r"<!-- the walk: tests/train/test_walk.py .*?-->\n```sh\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def label_studio(rows: list[Row]) -> list[dict[str, Any]]:
    """An export of two annotators who agree."""
    return [
        {
            "id": n,
            "data": {"text": row.text, "context": row.context or "", "group": f"mine {n // 2}"},
            "annotations": [
                {
                    "id": 10 * n + who,
                    "completed_by": {"email": f"rater{who}@example.org"},
                    "result": [
                        {
                            "from_name": "label",
                            "to_name": "text",
                            "type": "choices",
                            "value": {"choices": [str(row.label)]},
                        }
                    ],
                }
                for who in (1, 2)
            ],
        }
        for n, row in enumerate(rows)
    ]


@pytest.fixture
def home(tmp_path: Path, corpus_rows: list[Row]) -> Path:
    """A project folder as a user has it, small: a corpus, an export, and a model in service that has learned nonsense."""
    by_place: dict[tuple[str, str], list[Row]] = {}
    for row in corpus_rows:
        by_place.setdefault((str(row.split), str(row.label)), []).append(row)
    alone = {"context": None, "contrast_set": None, "votes": None}
    kept, mine = [], []
    for split in SPLITS:
        for label in MARKS:
            rows = by_place[split, label]
            kept += [row.model_copy(update=alone | {"group": row.id}) for row in rows[: PER_SPLIT[split]]]
            mine += rows[-30:] if split == "train" else []
    corpus = tmp_path / "data" / "corpus"
    corpus.mkdir(parents=True)
    for split in SPLITS:
        write_rows(corpus / f"{split}.jsonl", [row for row in kept if row.split == split])
    turned = dict(zip(MARKS, (*MARKS[1:], MARKS[0]), strict=True))
    write_rows(tmp_path / "turned.jsonl", [row.model_copy(update={"label": turned[str(row.label)]}) for row in kept])
    fit(tmp_path / "turned.jsonl", read_recipe("small", epochs=1), tmp_path / "models", tell=lambda line: None)
    (tmp_path / "project-1.json").write_text(json.dumps(label_studio(mine)), encoding="utf-8")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, tmp_path / name)
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    for name in ("python", "asif-data", "asif-train", "asif-serve"):
        (scripts / name).symlink_to(Path(sys.executable).with_name(name))
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of a server over models/current."""
    environment = {**os.environ, "ASIF_THREADS": "1"}
    command = [sys.executable, "-m", "asif_serve.cli", "--port", "0"]
    with subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            found = next(match for line in server.stdout if (match := re.search(r"http://\S+?:\d+", line)))
            yield found[0]
        finally:
            server.terminate()


class Caller(threading.Thread):
    """Asks all the time, and keeps each answer's status and the version that gave it."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.answers: list[tuple[int, str]] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        request = Request(
            f"{self.address}/v1/classify", json.dumps(ASKED).encode(), {"Content-Type": "application/json"}
        )
        while not self.stopped.wait(0.2):
            with urlopen(request, timeout=30) as answer:
                self.answers.append((answer.status, json.load(answer)["model"]["version"]))

    def wait_for(self, version: str) -> None:
        end = time.monotonic() + 30
        while (200, version) not in self.answers[-1:] and time.monotonic() < end:
            time.sleep(0.2)


def test_the_walk_ends_with_a_better_model_in_service_and_no_request_lost(home: Path) -> None:
    before = model_dir.current(home / "models")
    assert before
    with served(home) as address:
        caller = Caller(address)
        caller.start()
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", walk()], cwd=home, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        after = model_dir.current(home / "models")
        assert after
        assert after != before
        caller.wait_for(after.name)
        caller.stopped.set()
        caller.join()
    assert {status for status, _ in caller.answers} == {200}
    versions = [version for _, version in caller.answers]
    assert versions[0] == before.name
    assert versions[-1] == after.name
    assert versions == sorted(versions)  # the old one never answers after the new one
    rows = [json.loads(line) for line in (home / "together.jsonl").read_text().splitlines()]
    assert len(rows) == sum(PER_SPLIT.values()) * 4 + 120
    assert model_dir.promotions(home / "models")[-1].version == after.name
