"""Sweep: which recipe does best on the validation split. Optuna proposes; a sweep that was stopped goes on where it was."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table
from transformers import TrainerCallback

from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.labels import CODEBOOK, LabelSet
from asif_train.base_model import BaseModel, locate
from asif_train.corpus import Corpus, read_corpus
from asif_train.finetune import SCORE, load_network, save_tokenizer, train
from asif_train.provenance import git_commit
from asif_train.recipe import Recipe, checked_recipe

TRIALS = 20
STUDY = "sweep.db"
BEST = "best.yaml"
SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(2e-5, 5e-4, log=True),
    "epochs": IntDistribution(2, 6),
    "batch_size": CategoricalDistribution([16, 32, 64]),
    "context_dropout": FloatDistribution(0.0, 0.6),
    "weight_decay": FloatDistribution(1e-3, 1e-1, log=True),
}
SHOWN = "macro-F1 incl. none"
_NAME = "asif"
# Fewer trials or epochs have no median worth the name.
_UNPRUNED = 4
_FIRST_PRUNED_EPOCH = 2
_WORK = ".trial-"
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)
_GIVEN = "given"


@dataclass(frozen=True)
class Tried:
    """A recipe that was tried: its values of SPACE, and the best epoch's macro-F1 over the labels and none (0..1).

    A pruned one was stopped early, for it was below the median of the others at that epoch; its score is of the epochs it had.
    """

    number: int
    values: dict[str, Any]
    macro_f1: float
    pruned: bool
    seconds: float


def sweep(
    data: str | Path,
    recipe: Recipe,
    out: Path,
    *,
    trials: int = TRIALS,
    rows: int | None = None,
    labels: LabelSet = CODEBOOK,
    tell: Callable[[str], None] = print,
) -> list[Tried]:
    """Fine-tune `trials` recipes and judge each on the validation split; return them, the best first.

    They differ from `recipe` in SPACE alone; its own values are tried first. `rows` limits the training rows of each. The test
    split is not looked at. Proposals: tree-structured Parzen estimator (Bergstra et al. 2011, Algorithms for
    Hyper-Parameter Optimization), seeded by the recipe; a trial that is below the median of the others at an epoch, from the second on, is
    stopped (Golovin et al. 2017, Google Vizier).

    Trials go to `out`/sweep.db (an Optuna study) as they end, the best recipe to `out`/best.yaml. The same call goes on
    with a sweep that was stopped, and does again what was under way. Raises AsifError.
    """
    if trials < 1:
        raise AsifError(f"--trials: expected at least 1, found {trials}.")
    corpus, base = read_corpus(data, labels), locate(recipe.base_model)
    tried = recipe.model_copy(update={"rows": rows or recipe.rows})
    out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(f"{_WORK}*"):
        shutil.rmtree(left)
    with _study(out / STUDY, _given(corpus, base, tried)) as study:
        if not study.trials:
            study.enqueue_trial(_inside_space(recipe))
        while (done := len(study.get_trials(states=_DONE))) < trials:
            # A sampler of its own for each trial: one that goes on with its random numbers could not be resumed.
            study.sampler = TPESampler(seed=recipe.seed + done)
            trial = study.ask(SPACE)
            tell(f"{done + 1} of {trials}: " + ", ".join(f"{name} {_short(trial.params[name])}" for name in SPACE))
            score, pruned = _score(trial, corpus, base, tried, out)
            study.tell(trial, None if pruned else score, TrialState.PRUNED if pruned else None)
            tell(f"{SHOWN} {score:.4f}" + (", stopped early" if pruned else ""))
            write_atomically(out / BEST, _best(study, recipe, corpus))
        return sorted(map(_tried, study.get_trials(states=_DONE)), key=lambda one: (one.pruned, -one.macro_f1))


def table(tried: Sequence[Tried]) -> Table:
    """Every recipe that was tried, the best first."""
    shown = Table("trial", *SPACE, SHOWN, "seconds", title="Sweep, judged on the validation split")
    for one in tried:
        score = f"{one.macro_f1:.4f}" + (", stopped early" if one.pruned else "")
        shown.add_row(str(one.number), *(_short(one.values[name]) for name in SPACE), score, f"{one.seconds:.0f}")
    return shown


@contextmanager
def _study(file: Path, given: dict[str, Any]) -> Iterator[optuna.Study]:
    """The study in a file: made, or opened if it is of the same corpus, recipe and space."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{file.resolve()}")
    try:
        pruner = MedianPruner(n_startup_trials=_UNPRUNED, n_warmup_steps=_FIRST_PRUNED_EPOCH)
        study = optuna.create_study(
            storage=storage, study_name=_NAME, direction="maximize", pruner=pruner, load_if_exists=True
        )
        if study.user_attrs.get(_GIVEN, given) != given:
            raise AsifError(
                f"{file}: expected a sweep of the same corpus, labels, recipe and search space, found another; "
                "name another folder."
            )
        study.set_user_attr(_GIVEN, given)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):  # it was killed
            study.enqueue_trial(trial.params)
            study.tell(trial.number, state=TrialState.FAIL)
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _given(corpus: Corpus, base: BaseModel, recipe: Recipe) -> dict[str, Any]:
    return {
        "corpus_sha256": corpus.sha256,
        "labels": list(corpus.labels),
        "base_model_sha256": base.sha256,
        "recipe": recipe.model_dump(),
        "space": {name: distribution_to_json(distribution) for name, distribution in SPACE.items()},
    }


def _inside_space(recipe: Recipe) -> dict[str, Any]:
    """The recipe's own values, as far as they may be proposed."""
    values = {name: getattr(recipe, name) for name in SPACE}
    return {name: value for name, value in values.items() if _holds(SPACE[name], value)}


def _holds(distribution: BaseDistribution, value: float) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return (
        isinstance(distribution, FloatDistribution | IntDistribution) and distribution.low <= value <= distribution.high
    )


class _Pruning(TrainerCallback):
    """Tells the study the score of each epoch, and ends the training of a trial that is to be pruned."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self.pruned = False

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer after each epoch."""
        self._trial.report(kwargs["metrics"][SCORE], round(state.epoch))
        if self._trial.should_prune():
            self.pruned = control.should_training_stop = True


def _score(trial: optuna.Trial, corpus: Corpus, base: BaseModel, recipe: Recipe, out: Path) -> tuple[float, bool]:
    """The best epoch's score, and whether the trial was pruned."""
    recipe = checked_recipe(recipe.model_dump() | trial.params, "sweep")
    pruning = _Pruning(trial)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=out) as folder:
        encoder = save_tokenizer(base, Path(folder) / "tokenizer", recipe.max_tokens)
        network = load_network(base, corpus.labels, recipe.seed)
        history = train(network, corpus, encoder, recipe, Path(folder) / "checkpoints", False, [pruning])
    return max(epoch[SCORE] for epoch in history), pruning.pruned


def _best(study: optuna.Study, recipe: Recipe, corpus: Corpus) -> str:
    """The best recipe as YAML, with where it is from."""
    best = study.best_trial
    head = [
        f"Trial {best.number} of a sweep: {SHOWN} {best.value:.4f} on the validation split, by which it was chosen.",
        f"The best of {len(study.get_trials(states=_DONE))} so far; corpus {corpus.sha256[:12]}, commit {git_commit()}.",
    ]
    values = checked_recipe(recipe.model_dump() | best.params, BEST).model_dump()
    return "".join(f"# {line}\n" for line in head) + yaml.safe_dump(values, sort_keys=False)


def _tried(trial: FrozenTrial) -> Tried:
    pruned = trial.state == TrialState.PRUNED
    score = max(trial.intermediate_values.values()) if pruned else trial.value
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    return Tried(trial.number, trial.params, float(score or 0.0), pruned, seconds)


def _short(value: float) -> str:
    return f"{value:.3g}"
