"""Soft labels from saved logits: python train/trials/soft.py OUT LOGITS.npz[=WEIGHT]..."""

import sys
from pathlib import Path

import numpy as np
from asif_data.labels import CODEBOOK
from asif_train.soft_labels import SoftLabels, probabilities

weights = [float(a.partition("=")[2] or 1) for a in sys.argv[2:]]
files = [np.load(a.partition("=")[0]) for a in sys.argv[2:]]
p = sum(w * probabilities(f["logits"]) for w, f in zip(weights, files)) / sum(weights)
SoftLabels([*CODEBOOK.names, "none"], dict(zip(files[0]["keys"].tolist(), p))).save(Path(sys.argv[1]))
