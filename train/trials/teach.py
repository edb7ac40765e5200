"""Logits of a teacher on all readings: python train/trials/teach.py OUT.npz MODEL_DIR|STATE.pt:BASE_FOLDER."""

import sys, tempfile, time
from pathlib import Path

import numpy as np, torch
from transformers import AutoModelForSequenceClassification
from asif_data.encoding import InputEncoder
from asif_train.base_model import locate
from asif_train.corpus import read_corpus
from asif_train.finetune import load_network, save_tokenizer, torch_logits
from asif_train.soft_labels import key, known, recombined

out, model = sys.argv[1:3]
corpus = read_corpus("data/corpus")
if ":" in model:
    state, base = model.split(":")
    base = locate(base)
    encoder = save_tokenizer(base, Path(tempfile.mkdtemp()), 256)
    net = load_network(base, corpus.labels, 0)
    saved = torch.load(state)
    net.load_state_dict(saved.get("net", saved))
else:
    net = AutoModelForSequenceClassification.from_pretrained(model)
    encoder = InputEncoder(Path(model) / "tokenizer.json", 256)
rows = list(corpus.train)
todo = list(known(rows)) + recombined(rows)
t = time.time()
L = []
order = sorted(range(len(todo)), key=lambda i: len(todo[i].text) + len(todo[i].context or ""))
logits = np.zeros((len(todo), 3), np.float32)
with torch.autocast("cpu", torch.bfloat16):
    for s in range(0, len(order), 4096):
        ids = order[s : s + 4096]
        logits[ids] = torch_logits(net, encoder, [todo[i] for i in ids]).float().numpy()
        print(s + len(ids), len(todo), round(time.time() - t), flush=True)
np.savez(out, keys=np.array([key(u) for u in todo]), logits=logits)
