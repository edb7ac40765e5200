"""Baselines on the corpus: the client's turn alone must know nothing."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from asif_data.labels import LABELS
from asif_data.rows import Row
from asif_train.base_model import locate
from asif_train.baselines import frozen_encoder
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
