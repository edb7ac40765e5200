"""The packaged soft labels: the mean of the teachers' shares. python train/trials/labels.py WORK OUT."""
import json, sys
from pathlib import Path
import numpy as np
from asif_data.labels import CODEBOOK
from asif_train.corpus import read_corpus
from asif_train.soft_labels import SoftLabels, key, known, probabilities, recombined
W = Path(sys.argv[1]); keys = json.load(open(W / "keys.json")); table = {}
zs = [np.load(f) for f in sorted((W / "res").glob("teach-*.train.npz"))]
for k in ("paired", "alone", "r0", "r1", "r2", "r3"):
    table.update(zip(keys[k], sum(probabilities(z[k].astype(np.float32)) for z in zs) / len(zs)))
rows = list(read_corpus("data/corpus").train)
SoftLabels([*CODEBOOK.names, "none"], {key(u): table[key(u)].tolist() for u in [*known(rows), *recombined(rows)]}).save(Path(sys.argv[2]))
