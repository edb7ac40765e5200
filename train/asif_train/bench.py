"""How fast fine-tuning is, beside the transformers Trainer as it comes, on the same rows in one run."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from rich.table import Table
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from asif_data.encoding import InputEncoder
from asif_data.errors import AsifError
from asif_train.base_model import locate
from asif_train.corpus import Corpus, read_corpus
from asif_train.dataset import Collator, EpochCallback, PairDataset, targets
from asif_train.finetune import input_names, load_network, pinned_loss, save_tokenizer, torch_logits, train
from asif_train.metrics import macro_f1_incl_none
from asif_train.recipe import Recipe

OURS, DEFAULTS = "asif", "Trainer, defaults"
_PER_MB = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss counts bytes there, else KiB


@dataclass(frozen=True)
class Speed:
    """One way of fine-tuning: seconds an epoch takes for 1,000 rows, peak memory in MB, and the model's macro-F1 (0..1)."""

    name: str
    seconds: float
    peak_mb: float
    macro_f1: float


class _Clock(TrainerCallback):
    """Seconds inside of epochs: evaluation and checkpoints between them are not counted."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.epochs = 0

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds += time.perf_counter() - self._start
        self.epochs += 1


def bench(data: str | Path, recipe: Recipe) -> list[Speed]:
    """Fine-tune with the same recipe, rows and seed in both ways, each in a process of its own, one after the other.

    The defaults are those of TrainingArguments: float32, padded rows, the network's own attention. Learning rate,
    batch size, epochs, context dropout and loss are the recipe's in both; the defaults keep the last epoch, `train` the best one on
    validation. Macro-F1 is over the labels and none, on the test split, which neither has seen. Raises AsifError.
    """
    # What is wrong with rows or base model is told in whole before anything trains.
    read_corpus(data)
    locate(recipe.base_model)
    recipe = recipe.model_copy(update={"soft_labels": None})  # the defaults know no teacher
    return [_apart(name, data, recipe) for name in (DEFAULTS, OURS)]


def table(speeds: list[Speed]) -> Table:
    """Both ways beside each other, with the ratio of their speeds."""
    shown = Table("fine-tuning", "s per epoch per 1,000 rows", "times as fast", "peak MB", "macro-F1 on test")
    slowest = max(speed.seconds for speed in speeds)
    for speed in speeds:
        ratio = f"{slowest / speed.seconds:.2f}"
        shown.add_row(speed.name, f"{speed.seconds:.1f}", ratio, f"{speed.peak_mb:,.0f}", f"{speed.macro_f1:.3f}")
    return shown


def _apart(name: str, data: str | Path, recipe: Recipe) -> Speed:
    """In a fresh process, so that the peak of memory is its own."""
    asked = json.dumps({"name": name, "data": str(data), "recipe": recipe.model_dump()})
    done = subprocess.run(
        [sys.executable, "-m", "asif_train.bench"], input=asked, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AsifError(f"{name}: expected the fine-tuning to end well, found: {done.stderr.strip()[-300:]}")
    return Speed(**json.loads(done.stdout.splitlines()[-1]))


def measure(name: str, data: str | Path, recipe: Recipe) -> Speed:
    """Fine-tune in this process and measure it; its peak of memory is that of the whole process."""
    corpus, base, clock = read_corpus(data), locate(recipe.base_model), _Clock()
    with tempfile.TemporaryDirectory() as folder:
        encoder = save_tokenizer(base, Path(folder), recipe.max_tokens)
        network = load_network(base, corpus.labels, recipe.seed)
        if name == OURS:
            train(network, corpus, encoder, recipe, Path(folder) / "checkpoints", resume=False, callbacks=[clock])
        else:
            _train_by_defaults(network, corpus, encoder, recipe, Path(folder), clock)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _PER_MB
        logits = torch_logits(network, encoder, corpus.test).numpy()
    rows = len(corpus.sample(recipe.rows))
    found = macro_f1_incl_none(logits, np.array(targets(corpus.test, corpus.labels)))
    return Speed(name, clock.seconds / clock.epochs / rows * 1000, peak, found)


def _train_by_defaults(
    network: PreTrainedModel, corpus: Corpus, encoder: InputEncoder, recipe: Recipe, folder: Path, clock: _Clock
) -> None:
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        seed=recipe.seed,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        use_cpu=not torch.accelerator.is_available(),
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
    )
    rows = corpus.sample(recipe.rows)
    data = PairDataset(rows, corpus.labels, encoder, context_dropout=recipe.context_dropout, seed=recipe.seed)
    Trainer(
        model=network,
        args=arguments,
        train_dataset=data,
        data_collator=Collator(network.config.pad_token_id or 0, input_names(network)),
        compute_loss_func=pinned_loss,
        callbacks=[EpochCallback(data), clock],
    ).train()


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    given = json.load(sys.stdin)
    print(json.dumps(asdict(measure(given["name"], given["data"], Recipe(**given["recipe"])))))  # noqa: T201
