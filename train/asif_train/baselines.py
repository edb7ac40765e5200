"""Baselines: what simple models make of the same rows, also from the utterance or the client's turn alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

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
from asif_train.keywords import CUES, keyword_scores

View = Literal["utterance and client's turn", "utterance alone", "client's turn alone"]
BOTH: View = "utterance and client's turn"
UTTERANCE: View = "utterance alone"
CLIENT: View = "client's turn alone"
_BATCH = 32
_FEWEST_CONTEXTS = 20  # of fewer, no word may occur twice, and TF-IDF would have nothing to count


@dataclass(frozen=True)
class Scored:
    """Scores (rows, labels) that sum to 1 over the labels, and in_scope (rows,), as the model gives them."""

    scores: np.ndarray
    in_scope: np.ndarray


@dataclass(frozen=True)
class Baseline:
    """A baseline by name and view: what it sees of a row, None if nothing. `score` fits it and scores the test rows."""

    name: str
    view: View | None
    score: Callable[[], Scored]


def baselines(
    train: Sequence[Row], test: Sequence[Row], labels: Sequence[str], base: BaseModel, folder: Path
) -> list[Baseline]:
    """The baselines to fit on `train` and score on `test`, each fitted when its `score` is called.

    Majority; the codebook's cue phrases, where the labels are the codebook's; TF-IDF with logistic regression, and the
    frozen base encoder (mean of token vectors) with logistic regression, each on every view, or on the utterance alone
    if next to no row has a context. On the client's turn alone they should know nothing. `folder` takes the base encoder's tokenizer.
    """
    gold = np.array(targets(train, labels))
    embed = frozen_encoder(base, folder)

    def fitted(features: Callable[..., tuple[object, object]], view: View) -> Scored:
        seen, new = features(train, test, view)
        return _scored(LogisticRegression(C=10.0, max_iter=2000).fit(seen, gold), new, len(labels))

    found = [Baseline("majority", None, lambda: _majority(gold, len(test), len(labels)))]
    if tuple(labels) == tuple(CUES):
        found.append(Baseline("keyword rules", UTTERANCE, lambda: Scored(*keyword_scores([row.text for row in test]))))
    contexts = sum(bool((row.context or "").strip()) for row in train)
    for view in (BOTH, UTTERANCE, CLIENT) if contexts >= _FEWEST_CONTEXTS else (UTTERANCE,):
        for name, features in (("TF-IDF", _tfidf), ("frozen encoder", partial(_embedded, embed))):
            found.append(Baseline(f"{name} + logistic regression", view, partial(fitted, features, view)))
    return found


def _columns(rows: Sequence[Row], view: View) -> list[list[str]]:
    text, context = [row.text for row in rows], [row.context or "" for row in rows]
    return {BOTH: [text, context], UTTERANCE: [text], CLIENT: [context]}[view]


def _tfidf(train: Sequence[Row], test: Sequence[Row], view: View) -> tuple[object, object]:
    seen, new = [], []
    for a, b in zip(_columns(train, view), _columns(test, view), strict=True):
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        seen.append(vectorizer.fit_transform(a))
        new.append(vectorizer.transform(b))
    return hstack(seen).tocsr(), hstack(new).tocsr()


def _embedded(
    embed: Callable[[Sequence[str]], np.ndarray], train: Sequence[Row], test: Sequence[Row], view: View
) -> tuple[object, object]:
    sides = [np.hstack([embed(column) for column in _columns(rows, view)]) for rows in (train, test)]
    return sides[0], sides[1]


def _majority(gold: np.ndarray, rows: int, labels: int) -> Scored:
    model = DummyClassifier(strategy="prior").fit(np.zeros((len(gold), 1)), gold)
    return _scored(model, np.zeros((rows, 1)), labels)


def _scored(model: LogisticRegression | DummyClassifier, features: object, labels: int) -> Scored:
    known = np.asarray(model.predict_proba(features))
    probabilities = np.zeros((len(known), labels + 1))
    probabilities[:, np.asarray(model.classes_)] = known  # a mark that no training row has stays at nothing
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
