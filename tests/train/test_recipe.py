"""Recipes: packaged ones, files, flags, and what is wrong with them."""

from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_train.recipe import RECIPES, Recipe, read_recipe


@pytest.mark.parametrize("name", [path.stem for path in RECIPES.glob("*.yaml")])
def test_packaged_recipes_load(name: str) -> None:
    assert isinstance(read_recipe(name), Recipe)


def test_the_default_file_spells_out_the_defaults() -> None:
    assert read_recipe() == Recipe()


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("epochs: 3\nseed: 5\n")
    found = read_recipe(file, seed=7, epochs=None)
    assert (found.epochs, found.seed) == (3, 7)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("epochs: 0", "epochs"),
        ("epohcs: 3", "epohcs"),
        ("learning_rate: fast", "learning_rate"),
        ("- 1", "list"),
        ("a: [", "YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(AsifError, match=named):
        read_recipe(file)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(AsifError, match="default, small"):
        read_recipe("fancy")
