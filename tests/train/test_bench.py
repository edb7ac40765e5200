"""The bench of fine-tuning: both ways train the same rows and are told beside each other."""

from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.rows import BadRows
from asif_train.bench import DEFAULTS, OURS, Speed, bench, table
from asif_train.recipe import read_recipe


def test_both_ways_are_measured_in_processes_of_their_own(few: Path) -> None:
    speeds = bench(few, read_recipe("small", epochs=1))
    assert [speed.name for speed in speeds] == [DEFAULTS, OURS]
    assert all(speed.seconds > 0 and speed.peak_mb > 100 and 0 <= speed.macro_f1 <= 1 for speed in speeds)


def test_the_table_gives_the_ratio() -> None:
    columns = table([Speed(DEFAULTS, 60.0, 4000.0, 0.9), Speed(OURS, 20.0, 3000.0, 0.91)]).columns
    assert [list(column.cells) for column in columns[1:3]] == [["60.0", "20.0"], ["1.00", "3.00"]]


def test_bad_rows_are_all_named_before_anything_trains(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\nfine,pity\n,none\n")
    with pytest.raises(BadRows) as caught:
        bench(tmp_path / "rows.csv", read_recipe("small"))
    assert [(error.line, error.column) for error in caught.value.errors] == [(2, "label"), (3, "text")]


def test_a_fine_tuning_that_fails_is_named(few: Path) -> None:
    with pytest.raises(AsifError, match="Trainer, defaults: expected the fine-tuning to end well"):
        bench(few, read_recipe("small").model_copy(update={"learning_rate": 2.0}))
