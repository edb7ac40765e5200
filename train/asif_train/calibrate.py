"""Calibration on the validation split: temperature, in_scope, thresholds, prediction sets."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from asif_data.errors import AsifError
from asif_data.model_dir import Calibration, ScopeCalibration
from asif_serve.decision import energy_of, in_scope_of, scores_of
from asif_train.metrics import macro_f1

SET_COVERAGE = 0.95
ANSWERS_RIGHT = 0.95
MOST_UNCERTAIN = 0.10


def calibrate(logits: np.ndarray, gold: np.ndarray) -> Calibration:
    """Fit everything that turns logits (rows, L) into answers; gold is 0..L-1, or L for none.

    Rows must not have been trained on. Raises AsifError if a label or none is absent.
    """
    count = logits.shape[1]
    if len(np.unique(gold)) != count + 1:
        raise AsifError(
            f"expected validation rows of all {count} labels and none to calibrate on, found {len(np.unique(gold))} kinds."
        )
    inside = gold < count
    temperature = fit_temperature(logits[inside], gold[inside])
    scope = fit_scope(logits, inside)
    scores = scores_of(logits, temperature)
    in_scope = in_scope_of(logits, scope)
    scope_threshold = best_scope_threshold(scores, in_scope, gold)
    answered = inside & (in_scope >= scope_threshold)
    return Calibration(
        temperature=temperature,
        scope=scope,
        scope_threshold=scope_threshold,
        confidence_threshold=fit_confidence_threshold(scores[answered], gold[answered]),
        set_coverage=SET_COVERAGE,
        set_threshold=fit_set_threshold(scores[inside], gold[inside]),
    )


def fit_temperature(logits: np.ndarray, gold: np.ndarray) -> float:
    """The temperature that minimises the negative log-likelihood (Guo et al. 2017), between 0.05 and 20."""
    rows = np.arange(len(gold))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, gold].mean())

    found: Any = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def fit_scope(logits: np.ndarray, inside: np.ndarray) -> ScopeCalibration:
    """Platt scaling of the energy: logistic regression of "a label applies" on it (Platt 1999)."""
    model = LogisticRegression(C=100.0).fit(energy_of(logits)[:, None], inside)
    return ScopeCalibration(slope=float(model.coef_[0, 0]), intercept=float(model.intercept_[0]))


def best_scope_threshold(scores: np.ndarray, in_scope: np.ndarray, gold: np.ndarray) -> float:
    """The threshold with the best macro-F1 over the labels and none; the middle one of equals."""
    best, none = scores.argmax(1), scores.shape[1]
    # Two hundred cuts at equal numbers of rows, each halfway between two values, are as fine as the rows can tell.
    values = np.unique(np.quantile(in_scope, np.linspace(0, 1, 201)))
    candidates = np.concatenate([[values[0] / 2], (values[1:] + values[:-1]) / 2])
    f1 = np.array([macro_f1(gold, np.where(in_scope >= c, best, none), none + 1) for c in candidates])
    winners = candidates[f1 >= f1.max() - 1e-9]
    return float(winners[len(winners) // 2])


def fit_confidence_threshold(scores: np.ndarray, gold: np.ndarray) -> float:
    """The lowest confidence above which answers are right 95 % of the time.

    Never withholds more than 10 % of the in-scope rows, however often the model errs.
    """
    if not len(gold):
        return 0.0
    confidence, right = scores.max(1), scores.argmax(1) == gold
    most = float(np.quantile(confidence, MOST_UNCERTAIN))
    # Halfway to the value below: a cut on a row's own value would turn on its last decimal.
    values = np.unique(np.append(confidence, 0.0))
    cuts = (values[1:] + values[:-1]) / 2
    allowed = cuts[cuts <= most]
    enough = [cut for cut in allowed if right[confidence >= cut].mean() >= ANSWERS_RIGHT]
    return float(enough[0] if enough else allowed[-1])


def fit_set_threshold(scores: np.ndarray, gold: np.ndarray) -> float:
    """The score a label needs to enter the prediction set, so that sets hold the truth 95 % of the time.

    Split conformal prediction with the finite-sample correction: Sadinle et al. (2019), Least Ambiguous
    Set-Valued Classifiers; Angelopoulos & Bates (2023), Conformal Prediction, section 1.
    """
    true = np.sort(scores[np.arange(len(gold)), gold])
    rank = int(np.floor((len(gold) + 1) * (1 - SET_COVERAGE)))
    return float(true[rank - 1]) if rank >= 1 else 0.0
