"""The bench of fine-tuning: both ways train the same rows and are told beside each other."""

from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_train.bench import DEFAULTS, OURS, Speed, bench, table
from asif_train.recipe import read_recipe


def test_both_ways_are_measured_in_processes_of_their_own(few: Path) -> None:
    speeds = bench(few, read_recipe("small", epochs=1))
    assert [speed.name for speed in speeds] == [DEFAULTS, OURS]
    assert all(speed.seconds > 0 and speed.peak_mb > 100 and 0 <= speed.macro_f1 <= 1 for speed in speeds)


def test_the_table_gives_the_ratio() -> None:
    columns = table([Speed(DEFAULTS, 60.0, 4000.0, 0.9), Speed(OURS, 20.0, 3000.0, 0.91)]).columns
    assert [list(column.cells) for column in columns[1:3]] == [["60.0", "20.0"], ["1.00", "3.00"]]


def test_a_fine_tuning_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match="Trainer, defaults: expected the fine-tuning to end well"):
        bench(tmp_path / "nothing.jsonl", read_recipe("small"))
