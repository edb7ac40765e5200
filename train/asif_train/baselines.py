"""Baselines: what simple models make of the same rows, also from the client's turn alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import hstack
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel

from asif_data.encoding import InputEncoder, Utterance
from asif_data.rows import Row
from asif_train.base_model import BaseModel
from asif_train.dataset import Collator, targets
from asif_train.finetune import input_names, save_tokenizer

_BATCH = 32


@dataclass(frozen=True)
class Scored:
    """Scores (rows, labels) that sum to 1 over the labels, and in_scope (rows,), as the model gives them."""

    scores: np.ndarray
    in_scope: np.ndarray


@dataclass(frozen=True)
class Baseline:
    """A baseline by name; `client_only` ones see the context alone and should know nothing."""

    name: str
    client_only: bool
    scored: Scored


def baselines(
    train: Sequence[Row], test: Sequence[Row], labels: Sequence[str], base: BaseModel, folder: Path
) -> Iterator[Baseline]:
    """Fit each baseline on `train` and score `test`.

    Majority; TF-IDF with logistic regression; the frozen base encoder (mean of token vectors) with
    logistic regression. Each of the last two once on utterance and context, once on the context alone. `folder` takes
    the base encoder's tokenizer.
    """
    gold = np.array(targets(train, labels))
    yield Baseline(
        "majority",
        False,
        _scored(DummyClassifier(strategy="prior").fit(np.zeros((len(gold), 1)), gold), np.zeros((len(test), 1))),
    )
    embed = frozen_encoder(base, folder)
    for client_only in (False, True):
        for name, features in (("TF-IDF", _tfidf), ("frozen encoder", partial(_embedded, embed))):
            seen, new = features(train, test, client_only)
            model = LogisticRegression(C=10.0, max_iter=2000).fit(seen, gold)
            yield Baseline(f"{name} + logistic regression", client_only, _scored(model, new))


def _columns(rows: Sequence[Row], client_only: bool) -> list[list[str]]:
    context = [row.context or "" for row in rows]
    return [context] if client_only else [[row.text for row in rows], context]


def _tfidf(train: Sequence[Row], test: Sequence[Row], client_only: bool) -> tuple[object, object]:
    seen, new = [], []
    for a, b in zip(_columns(train, client_only), _columns(test, client_only), strict=True):
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        seen.append(vectorizer.fit_transform(a))
        new.append(vectorizer.transform(b))
    return hstack(seen).tocsr(), hstack(new).tocsr()


def _embedded(
    embed: Callable[[Sequence[str]], np.ndarray], train: Sequence[Row], test: Sequence[Row], client_only: bool
) -> tuple[object, object]:
    sides = [np.hstack([embed(column) for column in _columns(rows, client_only)]) for rows in (train, test)]
    return sides[0], sides[1]


def _scored(model: LogisticRegression | DummyClassifier, features: object) -> Scored:
    probabilities = np.asarray(model.predict_proba(features))
    inside = probabilities[:, :-1] + 1e-12
    return Scored(inside / inside.sum(1, keepdims=True), 1 - probabilities[:, -1])


def frozen_encoder(base: BaseModel, folder: Path) -> Callable[[Sequence[str]], np.ndarray]:
    """A function from texts to unit vectors: the mean of the base encoder's token vectors, (texts, width).

    Source: Reimers & Gurevych (2019), Sentence-BERT. A text that comes again is not run again.
    """
    encoder: InputEncoder = save_tokenizer(base, folder, 128)
    network = AutoModel.from_pretrained(base.location).eval()
    collator = Collator(network.config.pad_token_id or 0, input_names(network))
    known: dict[str, np.ndarray] = {}

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> np.ndarray:
        new = sorted({text for text in texts if text not in known}, key=len)
        for start in range(0, len(new), _BATCH):
            part = new[start : start + _BATCH]
            batch = collator.encoded(encoder([Utterance(text) for text in part]))
            mask = batch["attention_mask"].unsqueeze(-1)
            states = network(**batch).last_hidden_state
            mean = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
            known.update(zip(part, mean.numpy(), strict=True))
        return np.stack([known[text] for text in texts])

    return embed
