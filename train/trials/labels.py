"""A teacher's probabilities: python train/trials/labels.py STATE.pt BASE OUT.jsonl [T=2] [extra=0].

One line for each training row, read with its context: id, p (labels and none). With extra=1 also pairs that are not in
the corpus: the row alone, its sentences with the context, and the row beside another row's context.
"""
import json, random, re, sys, tempfile
from pathlib import Path
import numpy as np, torch
from asif_data.encoding import Utterance
from asif_train.base_model import locate
from asif_train.corpus import read_corpus
from asif_train.dataset import Collator
from asif_train.finetune import input_names, load_network, save_tokenizer

state, base, out = sys.argv[1:4]
opts = dict(a.split("=") for a in sys.argv[4:]); T = float(opts.get("T", 2))
corpus = read_corpus("data/corpus"); base = locate(base)
encoder = save_tokenizer(base, Path(tempfile.mkdtemp()), 256)
net = load_network(base, corpus.labels, 0)
saved = torch.load(state); net.load_state_dict(saved.get("net", saved)); net.eval()
rows = list(corpus.train); rng = random.Random(0)
todo = [(r.id, r.text, r.context) for r in rows]
if int(opts.get("extra", 0)):
    contexts = [r.context for r in rows if r.context]
    for r in rows:
        if r.context: todo.append((r.id + "#alone", r.text, None))
        s = re.split(r"(?<=[.?!])\s+", r.text)
        if len(s) > 1: todo.append((r.id + "#part", rng.choice(s), r.context))
        todo.append((r.id + "#other", r.text, rng.choice(contexts)))
enc = encoder([Utterance(t, c) for _, t, c in todo])
order = sorted(range(len(todo)), key=lambda i: len(enc[i])); collate = Collator(net.config.pad_token_id or 0, input_names(net))
P = np.zeros((len(todo), 4))
with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
    for n, s in enumerate(range(0, len(order), 32)):
        ids = order[s:s + 32]
        b = collate([{"input_ids": enc[i].input_ids, "token_type_ids": enc[i].token_type_ids, "labels": 0} for i in ids]); b.pop("labels")
        lg = net(**b).logits.float(); lg = torch.cat([lg, lg.new_zeros(len(lg), 1)], 1)
        P[ids] = torch.softmax(lg / T, 1).numpy()
        if n % 50 == 0: print(n * 32, len(todo), flush=True)
with open(out, "w") as f:
    for (i, t, c), p in zip(todo, P):
        f.write(json.dumps({"id": i, "text": t, "context": c, "p": [round(float(x), 5) for x in p]}) + "\n")
