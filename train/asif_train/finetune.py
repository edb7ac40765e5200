"""Fine-tuning: the Trainer, the loss, and the network with its fresh head."""

import inspect
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_model
from tokenizers import Regex, normalizers
from torch.nn import functional
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from asif_data.encoding import InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.labels import NONE
from asif_data.model_dir import TOKENIZER, WEIGHTS
from asif_data.rows import Row
from asif_train.base_model import BaseModel
from asif_train.corpus import Corpus
from asif_train.dataset import Collator, EpochCallback, PairDataset, TaughtDataset
from asif_train.metrics import macro_f1_incl_none
from asif_train.packing import PackedCollator, can_pack, packed
from asif_train.recipe import Recipe
from asif_train.soft_labels import read_soft_labels

_BEST = "macro_f1"
SCORE = f"eval_{_BEST}"  # of an epoch on the validation split, over the labels and none
_STATE = "trainer_state.json"
_BATCH = 32
_ONE_SPELLING = ((r"\.{2,}|…", "."), ("[\u2018\u2019]", "'"), ("[\u201c\u201d]", '"'))


def pinned_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Cross-entropy over the labels and "none", whose logit is pinned at zero.

    A softmax ignores a shift of all its logits, so a head of three outputs beside a constant zero can say
    everything that a head of four can: softmax(logits) says which label, logsumexp(logits) whether any.
    This is classification with energy as the score of being in scope (Liu et al. 2020, Energy-based
    Out-of-distribution Detection), fitted as one likelihood. Takes logits (rows, labels), targets (rows,) and, with
    `weights`, how much a row of each target counts (labels + 1,); returns the sum over the rows of the step, divided by
    their number.
    """
    logits = outputs.logits.float()
    pinned = torch.cat([logits, logits.new_zeros(len(logits), 1)], dim=1)
    if num_items_in_batch is None:
        num_items_in_batch = len(labels)
    if weights is not None:
        weights = weights.to(pinned.device)
    return functional.cross_entropy(pinned, labels, weight=weights, reduction="sum") / num_items_in_batch


def rare_weights(found: Sequence[int], labels: int) -> torch.Tensor | None:
    """How much a row of each label and of none counts in the loss, shape (labels + 1,); None where every row counts alike.

    Where the targets `found` hold fewer than half as many rows of one as an even corpus would, each of them counts so
    much more that together they weigh that half: left alone, a label of one row in twenty is not learnt from few rows.
    """
    rows = torch.bincount(torch.tensor(found), minlength=labels + 1).float()
    half = len(found) / 2 / (rows > 0).sum()
    weights = torch.where(rows > 0, half / rows, 1.0).clamp(min=1.0)
    return weights if (weights > 1).any() else None


def load_network(base: BaseModel, labels: Sequence[str], seed: int) -> PreTrainedModel:
    """The base encoder with a fresh head of one output a label.

    Raises AsifError if weights of the encoder itself are missing: only the head may start at random.
    """
    transformers.set_seed(seed)
    network, info = AutoModelForSequenceClassification.from_pretrained(
        base.location,
        dtype=torch.float32,  # half-precision weights would round small updates away
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        problem_type="single_label_classification",
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    prefix = network.base_model_prefix + "."
    missing = sorted(key for key in info["missing_keys"] if key.startswith(prefix) and ".pooler." not in key)
    if missing:
        raise AsifError(f"{base.location}: expected the weights of the whole encoder, found {missing[0]} missing.")
    network.config.use_cache = False  # as the Trainer leaves it: a run resumed after its end writes the same
    return network


def save_tokenizer(base: BaseModel, folder: Path, max_tokens: int) -> InputEncoder:
    """Write the base model's tokenizer files to `folder` and return the encoder that reads them.

    Padding and truncation that the packaged file fixes are taken out, so that every tool sees the same tokens. Trailing
    dots are read as one stop and curly quotes as straight ones: they say nothing, and the next text may be typed otherwise.
    """
    tokenizer = AutoTokenizer.from_pretrained(base.location, model_max_length=max_tokens)
    if not tokenizer.is_fast:
        raise AsifError(
            f"{base.location}: expected a base model with a {TOKENIZER}, found none; choose another base model."
        )
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    own = [backend.normalizer] if backend.normalizer else []
    backend.normalizer = normalizers.Sequence([*(normalizers.Replace(Regex(p), c) for p, c in _ONE_SPELLING), *own])
    # The base model's own class would build its normalizer anew and forget this one.
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_tokens,
        model_input_names=tokenizer.model_input_names,
        **tokenizer.special_tokens_map,
    ).save_pretrained(folder)
    return InputEncoder(folder / TOKENIZER, max_tokens)


def input_names(network: PreTrainedModel) -> list[str]:
    """The inputs that this architecture takes, out of those that we can give."""
    accepted = inspect.signature(network.forward).parameters
    return [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in accepted]


def batches(network: PreTrainedModel) -> PackedCollator | Collator:
    """What makes a batch of rows for this network in training: packed where it can be, else padded."""
    return (
        PackedCollator(network)
        if can_pack(network)
        else Collator(network.config.pad_token_id or 0, input_names(network))
    )


def train(
    network: PreTrainedModel,
    corpus: Corpus,
    encoder: InputEncoder,
    recipe: Recipe,
    checkpoints: Path,
    resume: bool,
    callbacks: Sequence[TrainerCallback] = (),
    report_to: str | None = None,
) -> list[dict[str, float]]:
    """Fine-tune `network` in place to its best epoch on validation; return one record an epoch.

    With `resume`, goes on from the newest checkpoint in `checkpoints`, or from the start where there is none; if training
    was over by then, the weights of the best epoch are taken from where they lie.
    `callbacks` are called by the Trainer after its own. `report_to` is a tracker that the Trainer knows.
    """
    base = {name: weights.detach().clone() for name, weights in network.base_model.named_parameters()}
    newest = _newest(checkpoints) if resume else None
    history = _finished(network, newest) if newest else []
    if not history:
        history = _run(network, corpus, encoder, recipe, checkpoints, newest, callbacks, report_to)
    keep_of_base(network, base, recipe.base_share)
    return history


def _run(
    network: PreTrainedModel,
    corpus: Corpus,
    encoder: InputEncoder,
    recipe: Recipe,
    checkpoints: Path,
    newest: Path | None,
    callbacks: Sequence[TrainerCallback],
    report_to: str | None,
) -> list[dict[str, float]]:
    """Train to the end, from the checkpoint `newest` if there is one."""
    train_set = _train_set(corpus, encoder, recipe)
    trainer = Trainer(
        model=network,
        args=_arguments(recipe, checkpoints, report_to),
        train_dataset=train_set,
        eval_dataset=PairDataset(corpus.validation, corpus.labels, encoder),
        data_collator=batches(network),
        compute_loss_func=partial(pinned_loss, weights=rare_weights(train_set.targets, len(corpus.labels))),
        compute_metrics=lambda found: {
            _BEST: macro_f1_incl_none(np.asarray(found.predictions), np.asarray(found.label_ids))
        },
        callbacks=[EpochCallback(train_set), EarlyStoppingCallback(recipe.patience), *callbacks],
    )
    with packed(network) if can_pack(network) else nullcontext():
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    # In bfloat16 the Trainer wraps `forward`; what is judged and exported is the plain float32 network.
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    return _history(trainer.state.log_history)


def _train_set(corpus: Corpus, encoder: InputEncoder, recipe: Recipe) -> PairDataset:
    rows, drawn = corpus.sample(recipe.rows), {"context_dropout": recipe.context_dropout, "seed": recipe.seed}
    soft = read_soft_labels(recipe.soft_labels) if recipe.soft_labels else None
    # What teachers say of other labels is of no use for these.
    if soft is None or soft.labels != (*corpus.labels, NONE):
        return PairDataset(rows, corpus.labels, encoder, **drawn)
    return TaughtDataset(rows, corpus.labels, encoder, soft, recipe.soft_share, **drawn)


@torch.no_grad()
def keep_of_base(network: PreTrainedModel, base: Mapping[str, torch.Tensor], share: float) -> None:
    """Move the encoder, in place, `share` (0..1) of the way back to the weights `base` that it began with; the head stays.

    Linear interpolation of weights: Wortsman et al. (2022), Robust fine-tuning of zero-shot models. What was learned loses
    little, and answers on text of another making become less sure where they are wrong.
    """
    for name, weights in network.base_model.named_parameters():
        weights.lerp_(base[name].to(weights), share)


def _history(log: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    return [_numbers(entry) for entry in log if SCORE in entry]


def _finished(network: PreTrainedModel, newest: Path) -> list[dict[str, float]]:
    """If the newest checkpoint ended the training, load the best one into `network` and return the records; else none.

    The Trainer would not do: it forgets on a resume that it had stopped early, and trains on.
    """
    state = json.loads((newest / _STATE).read_text(encoding="utf-8"))
    if not state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]:
        return []
    load_model(network, newest.with_name(f"checkpoint-{state['best_global_step']}") / WEIGHTS)
    return _history(state["log_history"])


def _newest(checkpoints: Path) -> Path | None:
    """The newest whole checkpoint. The Trainer writes its state last, so a kill amid writing leaves one without."""
    whole = [file.parent for file in checkpoints.glob(f"checkpoint-*/{_STATE}") if _is_json(file)]
    return max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _arguments(recipe: Recipe, checkpoints: Path, report_to: str | None) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        seed=recipe.seed,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=_BATCH,
        learning_rate=recipe.learning_rate,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        use_cpu=not torch.accelerator.is_available(),
        bf16=has_bfloat16(),
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=_BEST,
        restore_callback_states_from_checkpoint=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=torch.cuda.is_available(),
        run_name=checkpoints.parent.name,
        report_to=report_to or "none",
    )
    # Several GPUs are for `accelerate launch`; one process would spread over all of them with a batch on each.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    # The recipe counts rows over all processes, so that more processes train on about as many in a step.
    arguments.per_device_train_batch_size = max(1, recipe.batch_size // max(1, arguments.world_size))
    return arguments


def has_bfloat16() -> bool:
    """Whether this machine computes in bfloat16 itself, on the GPU if there is one; emulating it would be slower."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _numbers(entry: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in entry.items() if isinstance(value, int | float)}


def to_cpu(network: PreTrainedModel) -> PreTrainedModel:
    """The network in float32 on the CPU, dropout off: the form that all others are held against."""
    torch.nn.Module.to(network, "cpu", torch.float32)
    return network.eval()


@torch.inference_mode()
def torch_logits(network: PreTrainedModel, encoder: InputEncoder, rows: Sequence[Row | Utterance]) -> torch.Tensor:
    """Logits in float32 on the CPU, shape (rows, labels): what every served form is held against.

    Rows of one length run together, so that nothing is padded.
    """
    network = to_cpu(network)
    collator = Collator(network.config.pad_token_id or 0, input_names(network))
    encoded = encoder([Utterance(row.text, row.context) for row in rows])
    logits: dict[int, torch.Tensor] = {}
    order = sorted(range(len(rows)), key=lambda i: len(encoded[i]))
    for _, members in groupby(order, key=lambda i: len(encoded[i])):
        same = list(members)
        for part in (same[start : start + _BATCH] for start in range(0, len(same), _BATCH)):
            logits.update(zip(part, network(**collator.encoded([encoded[i] for i in part])).logits, strict=True))
    return torch.stack([logits[i] for i in range(len(rows))])
