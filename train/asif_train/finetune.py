"""Fine-tuning: the Trainer, the loss, and the network with its fresh head."""

import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.nn import functional
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EarlyStoppingCallback,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from asif_data.encoding import InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.model_dir import TOKENIZER
from asif_data.rows import Row
from asif_train.attention import CPU_ATTENTION
from asif_train.base_model import BaseModel
from asif_train.corpus import Corpus
from asif_train.dataset import Collator, EpochCallback, LengthSampler, PairDataset
from asif_train.metrics import four_way_macro_f1
from asif_train.objective import Objective
from asif_train.recipe import Recipe

_BEST = "macro_f1"


def pinned_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """Cross-entropy over the labels and "none", whose logit is pinned at zero.

    A softmax ignores a shift of all its logits, so a head of three outputs beside a constant zero can say
    everything that a head of four can: softmax(logits) says which label, logsumexp(logits) whether any.
    This is classification with energy as the score of being in scope (Liu et al. 2020, Energy-based
    Out-of-distribution Detection), fitted as one likelihood. Takes logits (rows, labels) and targets (rows,);
    returns the mean over the rows of the step.
    """
    logits = outputs.logits.float()
    pinned = torch.cat([logits, logits.new_zeros(len(logits), 1)], dim=1)
    if num_items_in_batch is None:
        return functional.cross_entropy(pinned, labels)
    return functional.cross_entropy(pinned, labels, reduction="sum") / num_items_in_batch


def load_network(base: BaseModel, labels: Sequence[str], seed: int) -> PreTrainedModel:
    """The base encoder with a fresh head of one output a label.

    Raises AsifError if weights of the encoder itself are missing: only the head may start at random.
    """
    transformers.set_seed(seed)
    network, info = AutoModelForSequenceClassification.from_pretrained(
        base.location,
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
    return network


def save_tokenizer(base: BaseModel, folder: Path, max_tokens: int) -> InputEncoder:
    """Write the base model's tokenizer files to `folder` and return the encoder that reads them.

    Padding and truncation that the packaged file fixes are taken out, so that every tool sees the same tokens.
    """
    tokenizer = AutoTokenizer.from_pretrained(base.location, model_max_length=max_tokens)
    if not tokenizer.is_fast:
        raise AsifError(
            f"{base.location}: expected a base model with a {TOKENIZER}, found none; choose another base model."
        )
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(folder)
    return InputEncoder(folder / TOKENIZER, max_tokens)


def input_names(network: PreTrainedModel) -> list[str]:
    """The inputs that this architecture takes, out of those that we can give."""
    accepted = inspect.signature(network.forward).parameters
    return [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in accepted]


class _Trainer(Trainer):
    """The Trainer with rows in the order of LengthSampler and the objective on trial."""

    def __init__(self, *args: Any, sampler: LengthSampler, recipe: Recipe, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sampler = sampler
        self._recipe = recipe
        self._objective = Objective(recipe)

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthSampler:
        return self._sampler

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        if not model.training:
            labels = inputs["labels"]
            outputs = model(**{k: v for k, v in inputs.items() if k in ("input_ids", "attention_mask", "token_type_ids")})
            loss = pinned_loss(outputs, labels)
            return (loss, {"logits": outputs.logits}) if return_outputs else loss
        loss, outputs = self._objective(model, inputs)
        return (loss, outputs) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> Any:
        if self._recipe.layer_decay == 1.0 or self.optimizer is not None:
            return super().create_optimizer(model)
        decays = set(self.get_decay_parameter_names(self.model))
        layers = self.model.config.num_hidden_layers
        groups: dict[tuple[float, float], list[Any]] = {}
        for name, value in self.model.named_parameters():
            if not value.requires_grad:
                continue
            found = re.search(r"layer\.(\d+)\.", name)
            depth = 0 if ".embeddings." in name else int(found[1]) + 1 if found else layers + 1
            key = (self._recipe.layer_decay ** (layers + 1 - depth), self.args.weight_decay if name in decays else 0.0)
            groups.setdefault(key, []).append(value)
        kind, given = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        rate = given.pop("lr", self.args.learning_rate)
        self.optimizer = kind([{"params": v, "lr": rate * scale, "weight_decay": w} for (scale, w), v in groups.items()], lr=rate, **given)
        return self.optimizer


class _Average(TrainerCallback):
    """Mean of the weights over the last share of the steps (Izmailov et al. 2018)."""

    def __init__(self, share: float) -> None:
        self.share, self.sums, self.count = share, {}, 0

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step <= state.max_steps * (1 - self.share) or state.global_step % 10:
            return
        self.count += 1
        for name, value in model.named_parameters():
            if value.requires_grad:
                self.sums[name] = self.sums.get(name, 0) + value.detach().clone()

    def put(self, model: Any) -> None:
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name in self.sums:
                    value.copy_(self.sums[name] / self.count)


def warm_contrastive(network: Any, data: PairDataset, collator: Collator, recipe: Recipe) -> None:
    """Supervised contrastive epochs on the first token's state before the head is trained (Khosla et al. 2020; SetFit)."""
    trained = [p for n, p in network.named_parameters() if p.requires_grad and "classifier" not in n]
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate / 2, weight_decay=recipe.weight_decay)
    network.train()
    for epoch in range(recipe.warm_contrastive):
        data.epoch = 1000 + epoch
        order = list(LengthSampler(data, recipe.batch_size, recipe.seed))
        for start in range(0, len(order) - recipe.batch_size, recipe.batch_size):
            batch = collator([data[i] for i in order[start : start + recipe.batch_size]])
            labels = batch["labels"]
            with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
                states = network.base_model(**{k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "token_type_ids")})
            vectors = functional.normalize(states.pooler_output.float(), dim=1)
            similar = vectors @ vectors.T / 0.1
            eye = torch.eye(len(labels), dtype=torch.bool)
            log_p = functional.log_softmax(similar.masked_fill(eye, -1e9), 1)
            same = (labels[:, None] == labels[None, :]) & ~eye
            loss = -(log_p * same).sum(1)[same.any(1)].div(same.sum(1)[same.any(1)]).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()


def train(
    network: PreTrainedModel, corpus: Corpus, encoder: InputEncoder, recipe: Recipe, checkpoints: Path, resume: bool
) -> list[dict[str, float]]:
    """Fine-tune `network` in place to its best epoch on validation; return one record an epoch.

    With `resume`, goes on from the newest checkpoint in `checkpoints`, or from the start where there is none.
    """
    rows = corpus.sample(recipe.rows)
    soft = None
    if recipe.teacher:
        told = {r["id"]: r["soft"] for r in map(json.loads, Path(recipe.teacher).read_text().splitlines())}
        soft = np.array([told[row.id] for row in rows])
    train_set = PairDataset(
        rows, corpus.labels, encoder, context_dropout=recipe.context_dropout, seed=recipe.seed, noise=recipe.noise,
        second=recipe.second, soft=soft, context_first=recipe.context_first,
    )
    if recipe.freeze_embeddings:
        network.get_input_embeddings().requires_grad_(False)
    if recipe.attention_dropout is not None:
        for module in network.modules():
            if type(module).__name__.endswith("SelfAttention") and hasattr(module, "dropout"):
                module.dropout.p = recipe.attention_dropout
    average = _Average(recipe.average)
    if recipe.warm_contrastive:
        warm_contrastive(network, train_set, Collator(network.config.pad_token_id or 0, input_names(network)), recipe)
    if network.config._attn_implementation == "sdpa" and not torch.accelerator.is_available():
        network.set_attn_implementation(CPU_ATTENTION)
    trainer = _Trainer(
        sampler=LengthSampler(train_set, recipe.batch_size, recipe.seed),
        recipe=recipe,
        model=network,
        args=_arguments(recipe, checkpoints),
        train_dataset=train_set,
        eval_dataset=PairDataset(corpus.validation, corpus.labels, encoder, context_first=recipe.context_first),
        data_collator=Collator(network.config.pad_token_id or 0, input_names(network)),
        compute_metrics=lambda found: {
            _BEST: four_way_macro_f1(np.asarray(found.predictions), np.asarray(found.label_ids))
        },
        callbacks=[EpochCallback(train_set), EarlyStoppingCallback(recipe.patience), average],
    )
    has_checkpoint = resume and any(checkpoints.glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=has_checkpoint or None)
    # In bfloat16 the Trainer wraps `forward`; what is judged and exported is the plain float32 network.
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    if recipe.average:
        average.put(trainer.model)
    return [_numbers(entry) for entry in trainer.state.log_history if f"eval_{_BEST}" in entry]


def _arguments(recipe: Recipe, checkpoints: Path) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        seed=recipe.seed,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=32,
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
        report_to="none",
    )
    # The recipe counts rows over all processes, so that more processes train the same model.
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
def torch_logits(network: PreTrainedModel, encoder: InputEncoder, rows: Sequence[Row]) -> torch.Tensor:
    """Logits in float32 on the CPU, shape (rows, labels): what every served form is held against."""
    network = to_cpu(network)
    collator = Collator(network.config.pad_token_id or 0, input_names(network))
    encoded = encoder([Utterance(row.text, row.context) for row in rows])
    return torch.cat([network(**collator.encoded([row])).logits for row in encoded])
