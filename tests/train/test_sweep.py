"""The sweep: what is tried, resumed, pruned and written. But for one, nothing is trained."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import IntDistribution
from typer.testing import CliRunner

from asif_data.errors import AsifError
from asif_data.rows import read_rows, write_rows
from asif_train import sweep as sweeping
from asif_train.cli import app
from asif_train.finetune import SCORE
from asif_train.recipe import Recipe, read_recipe
from asif_train.sweep import SPACE, Tried, sweep

RECIPE = read_recipe("small", epochs=3)


class _Killed(BaseException):
    """Ends a sweep where it is raised, as a kill would."""


def silent(line: str) -> None: ...


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes that would have been trained: the nearer the learning rate to 1e-4, the better, and each epoch too."""
    recipes: list[Recipe] = []

    def train(
        network: Any, corpus: Any, encoder: Any, recipe: Recipe, folder: Path, resume: bool, callbacks: Any
    ) -> Any:
        recipes.append(recipe)
        history = []
        for epoch in range(1, recipe.epochs + 1):
            history.append({SCORE: 0.9 - 100 * abs(recipe.learning_rate - 1e-4) + epoch / 1000})
            control = SimpleNamespace(should_training_stop=False)
            callbacks[0].on_evaluate(None, SimpleNamespace(epoch=float(epoch)), control, metrics=history[-1])
            if control.should_training_stop:
                break
        return history

    monkeypatch.setattr(sweeping, "train", train)
    monkeypatch.setattr(sweeping, "load_network", lambda *args: None)
    monkeypatch.setattr(sweeping, "save_tokenizer", lambda *args: None)
    return recipes


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "sweep"


def _values(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in SPACE}


def test_the_recipes_own_values_are_tried_first(few: Path, out: Path, trained: list[Recipe]) -> None:
    found = sweep(few, RECIPE, out, trials=3, tell=silent)
    assert trained[0] == RECIPE
    assert len({recipe.model_dump_json() for recipe in trained}) == 3
    assert [one.macro_f1 for one in found] == sorted((one.macro_f1 for one in found), reverse=True)
    assert {one.number for one in found} == {0, 1, 2}


def test_recipes_differ_in_the_space_alone(few: Path, out: Path, trained: list[Recipe]) -> None:
    sweep(few, RECIPE, out, trials=6, rows=20, tell=silent)
    for recipe in trained:
        assert recipe.model_dump() | _values(RECIPE) == RECIPE.model_dump() | {"rows": 20}
        assert 2e-5 <= recipe.learning_rate <= 5e-4
        assert 2 <= recipe.epochs <= 6
        assert recipe.batch_size in (16, 32, 64)
        assert 0 <= recipe.context_dropout <= 0.6
        assert 1e-3 <= recipe.weight_decay <= 0.1


def test_the_best_is_written_as_a_recipe_that_fit_takes(few: Path, out: Path, trained: list[Recipe]) -> None:
    best = sweep(few, RECIPE, out, trials=4, rows=20, tell=silent)[0]
    recipe = read_recipe(out / "best.yaml")
    assert _values(recipe) == best.values
    assert recipe.rows == RECIPE.rows  # `rows` is of the sweep, not of what it finds
    head = (out / "best.yaml").read_text().splitlines()[:2]
    assert f"{best.macro_f1:.4f} on the validation split" in head[0]
    assert all(line.startswith("# ") for line in head)


@pytest.mark.parametrize("killed", [0, 2], ids=["in the first trial", "in a later one"])
def test_a_stopped_sweep_goes_on_to_the_same_end(
    few: Path, tmp_path: Path, trained: list[Recipe], monkeypatch: pytest.MonkeyPatch, killed: int
) -> None:
    whole = sweep(few, RECIPE, tmp_path / "whole", trials=5, tell=silent)
    told = [_values(recipe) for recipe in trained]
    trained.clear()
    train = sweeping.train

    def stopped(*args: Any) -> Any:
        if len(trained) == killed:
            raise _Killed
        return train(*args)

    monkeypatch.setattr(sweeping, "train", stopped)
    with pytest.raises(_Killed):
        sweep(few, RECIPE, tmp_path / "stopped", trials=5, tell=silent)
    (tmp_path / "stopped" / ".trial-left").mkdir()  # as a kill would leave it
    monkeypatch.setattr(sweeping, "train", train)
    resumed = sweep(few, RECIPE, tmp_path / "stopped", trials=5, tell=silent)
    assert [_values(recipe) for recipe in trained] == told
    assert [(one.values, one.macro_f1) for one in resumed] == [(one.values, one.macro_f1) for one in whole]
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == ["best.yaml", "sweep.db"]


def test_a_finished_sweep_trains_nothing_more_and_may_be_made_longer(
    few: Path, out: Path, trained: list[Recipe]
) -> None:
    first = sweep(few, RECIPE, out, trials=2, tell=silent)
    assert sweep(few, RECIPE, out, trials=2, tell=silent) == first
    assert len(trained) == 2
    assert len(sweep(few, RECIPE, out, trials=3, tell=silent)) == 3
    assert len(trained) == 3


def test_a_trial_below_the_median_is_stopped(
    few: Path, out: Path, trained: list[Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SPACE, "epochs", IntDistribution(4, 4))
    found = sweep(few, RECIPE, out, trials=12, tell=silent)
    pruned = [one for one in found if one.pruned]
    assert pruned
    assert found[-len(pruned) :] == pruned  # they come last, and are never the best
    assert not found[0].pruned
    study = optuna.load_study(study_name="asif", storage=f"sqlite:///{out / 'sweep.db'}")
    epochs = {trial.number: len(trial.intermediate_values) for trial in study.trials}
    assert all(2 <= epochs[one.number] < 4 for one in pruned)
    assert all(epochs[one.number] == 4 for one in found if not one.pruned)


def test_another_corpus_recipe_or_space_needs_another_folder(
    few: Path, out: Path, trained: list[Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep(few, RECIPE, out, trials=1, tell=silent)
    refused = pytest.raises(
        AsifError, match=r"sweep\.db: expected a sweep of the same corpus, labels, recipe and search"
    )
    with refused:
        sweep(few, RECIPE.model_copy(update={"patience": 9}), out, trials=2, tell=silent)
    with refused:
        sweep(few, RECIPE, out, trials=2, rows=20, tell=silent)
    write_rows(few, read_rows([few])[::-1])
    with refused:
        sweep(few, RECIPE, out, trials=2, tell=silent)
    assert len(trained) == 1


def test_no_trials_are_refused(few: Path, out: Path) -> None:
    with pytest.raises(AsifError, match="--trials: expected at least 1, found 0"):
        sweep(few, RECIPE, out, trials=0)
    assert not out.exists()


def test_bad_rows_are_told_before_there_is_a_study(tmp_path: Path, out: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\nhello,empaty\n")
    with pytest.raises(AsifError, match="did you mean 'empathy'"):
        sweep(tmp_path / "rows.csv", RECIPE, out)
    assert not out.exists()


def test_the_command_trains_and_prints_a_table(few: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing: a second call adds a trial to the first's."""
    monkeypatch.setitem(SPACE, "epochs", IntDistribution(1, 1))
    flags = ["sweep", "--data", str(few), "--recipe", "small", "--out", str(out)]
    first = CliRunner().invoke(app, [*flags, "--trials", "1"])
    assert first.exit_code == 0, first.output
    assert "Sweep, judged on the validation split" in first.output
    done = CliRunner().invoke(app, [*flags, "--trials", "2", "--json"])
    found = [Tried(**one) for one in json.loads(done.stdout)]
    assert [one.values["epochs"] for one in found] == [1, 1]
    assert all(0 < one.macro_f1 < 1 and one.seconds > 0 for one in found)
    assert read_recipe(out / "best.yaml").epochs == 1


def test_without_optuna_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setitem(sys.modules, "asif_train.sweep", None)
    monkeypatch.delattr("asif_train.sweep")
    found = CliRunner().invoke(app, ["sweep", "--out", str(out)])
    assert isinstance(found.exception, AsifError)
    assert "pip install 'asif[sweep]'" in str(found.exception)
