"""Rows of made-up words, as many as one wants, and how much memory a program takes to work on them."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from asif_data.labels import MARKS

COLUMNS = ("text", "context", "label", "group", "annotator")
_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
_ROWS_OF_A_GROUP = 20
_BLOCK = 1000

_REPORT = """
import atexit, runpy, sys
def tell():
    status = open("/proc/self/status").read().split("VmHWM:")[1]
    print("peak", int(status.split()[0]) // 1024, file=sys.stderr)
atexit.register(tell)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def made_up_rows(count: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """Rows with as many words as replies have, few of them alike but for "none" rows, of which every fourth is one of a few."""
    draw = np.random.default_rng(seed)
    words = ["".join(draw.choice(_SYLLABLES, size=1 + n % 3)) for n in range(20_000)]
    often = 1 / np.arange(10, len(words) + 10)  # Zipf's law, as in any language
    often /= often.sum()
    for start in range(0, count, _BLOCK):
        lengths = draw.integers(5, 30, size=2 * _BLOCK)
        said = draw.choice(words, size=lengths.sum(), p=often)
        ends = pairwise([0, *np.cumsum(lengths).tolist()])
        turns = [" ".join(said[a:b]).capitalize() + "." for a, b in ends]
        for n in range(min(_BLOCK, count - start)):
            number = start + n
            label = MARKS[number % len(MARKS)]
            short = label == "none" and draw.random() < 0.25
            yield {
                "text": words[int(draw.integers(50))] if short else turns[2 * n],
                "context": turns[2 * n + 1],
                "label": label,
                "group": f"conversation {number // _ROWS_OF_A_GROUP}",
                "annotator": f"annotator {number % 3}",
            }


def write_made_up(path: Path, count: int, seed: int = 0) -> Path:
    """Such rows as a .csv or .jsonl file."""
    rows = made_up_rows(count, seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def peak_of(module: str, *arguments: object) -> int:
    """The most memory that `python -m MODULE ...` held, MiB. A process of its own tells it of itself: Linux hands the peak of the parent on."""
    command = [sys.executable, "-c", _REPORT, module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return int(done.stderr.rsplit("peak ", 1)[1])
