"""The recipe: every choice of a fine-tuning, from a YAML file plus flags."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asif_data.encoding import MAX_TOKENS
from asif_data.errors import AsifError
from asif_data.yaml_file import read_yaml
from asif_train.base_model import PACKAGED

PACKAGED_TEACHER = "all-mpnet-base-v2"
RECIPES = Path(__file__).parent / "recipes"
MAX_EPOCHS = 100


class Recipe(BaseModel):
    """Choices of one fine-tuning. Fractions are 0..1; `batch_size` counts rows over all processes.

    `context_dropout` is the share of training rows whose context is left out, drawn anew each epoch.
    `patience` counts epochs without a better validation score before training stops. `base_share` of the base encoder's
    weights is mixed into the fine-tuned ones at the end. `soft_labels` are what teachers say of the rows, a file that
    `asif-train teach` writes or the name of a packaged one, and `soft_share` the part of a row's target that is theirs; null
    takes the rows' own labels alone. `rows` limits the training
    rows to about so many, in whole groups; null takes all.
    """

    model_config = ConfigDict(extra="forbid")
    base_model: str = PACKAGED
    seed: int = Field(0, ge=0, lt=2**32)
    epochs: int = Field(6, ge=1, le=MAX_EPOCHS)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-4, gt=0, lt=1)
    warmup: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0, lt=1)
    context_dropout: float = Field(0.3, ge=0, le=1)
    max_tokens: int = Field(MAX_TOKENS, ge=8)
    patience: int = Field(3, ge=1)
    base_share: float = Field(0.1, ge=0, lt=1)
    soft_labels: str | None = PACKAGED_TEACHER
    soft_share: float = Field(0.7, ge=0, le=1)
    rows: int | None = Field(None, ge=1)


def read_recipe(path: str | Path | None = None, **flags: Any) -> Recipe:
    """A recipe from a YAML file (the packaged default if None), with the flags that are not None on top.

    `path` is a file, or the name of a packaged recipe ("default", "small"). Raises AsifError that
    names the field.
    """
    file = Path(path) if path and Path(path).suffix else RECIPES / f"{path or 'default'}.yaml"
    if not file.is_file():
        names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise AsifError(f"{path}: expected a recipe file or one of {names}, found neither.")
    values = read_yaml(file) or {}
    if not isinstance(values, dict):
        raise AsifError(f"{file}: expected `name: value` lines, found {type(values).__name__}.")
    return checked_recipe(values | {k: v for k, v in flags.items() if v is not None}, str(file))


def checked_recipe(values: dict[str, Any], where: str) -> Recipe:
    """A recipe of these values. Raises AsifError that names each wrong field, after `where` the values are from."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [f"{where}: {'.'.join(map(str, e['loc']))}: {_sentence(e)}" for e in error.errors()]
        raise AsifError("\n".join(lines)) from None


def _sentence(error: Any) -> str:
    # The value of a field that is none of a recipe's is not repeated: the file may be one of rows given by mistake.
    found = "" if error["type"] == "extra_forbidden" else f", found {error['input']!r}"
    return f"{error['msg'].lower()}{found}"
