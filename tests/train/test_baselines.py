"""Baselines on the corpus: the client's turn alone must know nothing."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from asif_data.labels import LABELS
from asif_data.rows import Row
from asif_train.base_model import locate
from asif_train.baselines import BOTH, CLIENT, UTTERANCE, baselines, frozen_encoder
from asif_train.dataset import targets
from asif_train.metrics import macro_f1


def test_the_frozen_encoder_cannot_tell_labels_from_the_clients_turn(corpus_rows: list[Row], tmp_path: Path) -> None:
    embed = frozen_encoder(locate(), tmp_path)
    inside = [row for row in corpus_rows if row.label in LABELS and row.context]
    seen, new = ([row for row in inside if (row.split == "train") == wanted] for wanted in (True, False))
    model = LogisticRegression(C=10.0, max_iter=2000).fit(
        embed([str(row.context) for row in seen]), targets(seen, LABELS)
    )
    found = model.predict(embed([str(row.context) for row in new]))
    assert macro_f1(np.array(targets(new, LABELS)), found, len(LABELS)) <= 0.40


def test_a_view_sees_what_its_name_says(corpus_rows: list[Row], tmp_path: Path) -> None:
    train = [row for row in corpus_rows if row.split == "train"][:200]
    reply, other = next(row for row in corpus_rows if row.context), "He shouted again."
    turned = reply.model_copy(update={"context": other})
    reworded = reply.model_copy(update={"text": other})
    found = [b for b in baselines(train, [reply, turned, reworded], LABELS, locate(), tmp_path) if "TF-IDF" in b.name]
    same = {b.view: [bool(np.allclose(row, b.score().scores[0])) for row in b.score().scores[1:]] for b in found}
    assert same == {BOTH: [False, False], UTTERANCE: [True, False], CLIENT: [False, True]}


def test_scores_of_every_baseline_sum_to_one(corpus_rows: list[Row], tmp_path: Path) -> None:
    train, test = corpus_rows[:60], corpus_rows[60:65]
    for baseline in baselines(train, test, LABELS, locate(), tmp_path):
        scored = baseline.score()
        assert np.allclose(scored.scores.sum(1), 1)
        assert ((scored.in_scope >= 0) & (scored.in_scope <= 1)).all()
