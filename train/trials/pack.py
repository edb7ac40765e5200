"""Encoders and token ids of all readings as arrays: python train/trials/pack.py OUT FOLDER(all-mpnet-base-v2) ROWS(real replies)."""
import json, random, sys, tempfile
from pathlib import Path
import numpy as np, torch
from safetensors.torch import load_file
from asif_data.encoding import Utterance
from asif_data.rows import Row
from asif_train.base_model import locate
from asif_train.corpus import read_corpus
from asif_train.dataset import targets
from asif_train.finetune import save_tokenizer
from asif_train import soft_labels as S
from asif_train.robustness import read_suite
from asif_train.transforms import TRANSFORMS, transformed

out = Path(sys.argv[1]); out.mkdir(exist_ok=True)
c = read_corpus("data/corpus")
rows = list(c.train)
L = list(c.labels)
paired = [Utterance(r.text, r.context) for r in rows]
alone = [Utterance(r.text) for r in rows]
groups = {}
for r in rows: groups.setdefault(r.group or r.text, []).append(r)
old = {S.key(u) for u in S.known(rows)}
seen = set(old)
def variant(v):
    found = {}
    for g in groups.values():
        for row in g:
            rng = random.Random(f"{v}:{S.key(Utterance(row.text, row.context))}")
            other = rng.choice(g)
            parts = [S._clauses(p, rng) for p in ([row] if other is row else [row, other])]
            rng.shuffle(parts)
            u = Utterance(" ".join(parts), rng.choice([row.context, other.context]))
            if S.key(u) not in seen:
                seen.add(S.key(u)); found[S.key(u)] = u
    return list(found.values())
r0 = S.recombined(rows); seen |= {S.key(u) for u in r0}
r = [r0] + [variant(v) for v in (1, 2, 3)]
def crossed(v):  # a whole reply, or clauses of it, beside the client turn of another conversation
    ctx = [q.context for q in rows if q.context]
    found = {}
    for row in rows:
        rng = random.Random(f"x{v}:{S.key(Utterance(row.text, row.context))}")
        text = row.text if rng.random() < .5 else S._clauses(row, rng)
        u = Utterance(text, rng.choice(ctx))
        if S.key(u) not in seen:
            seen.add(S.key(u)); found[S.key(u)] = u
    return list(found.values())
x = [crossed(0), crossed(1)]
real = [json.loads(l) for l in open(sys.argv[3])]
suite = read_suite()
items = list(suite.items)
sets = {"paired": paired, "alone": alone, **{f"r{i}": v for i, v in enumerate(r)}, **{f"x{i}": v for i, v in enumerate(x)},
        "val": [Utterance(q.text, q.context) for q in c.validation], "real": [Utterance(q["text"], q["context"]) for q in real],
        "items": [i.utterance() for i in items]}
inv = [(n, i.id, transformed(i, n)) for n in TRANSFORMS for i in items]
inv = [(n, i, u) for n, i, u in inv if u]
sets["inv"] = [u for *_, u in inv]
sets["before"] = [Utterance(p.before, p.context) for p in suite.pairs]
sets["after"] = [Utterance(p.after, p.context) for p in suite.pairs]
meta = {"labels": L, "items": [(i.id, i.label, i.border) for i in items], "inv": [(n, i) for n, i, _ in inv], "pairs": [(p.id, p.kind, p.toward) for p in suite.pairs]}
json.dump(meta, open(out / "meta.json", "w"))
keys = {k: [S.key(u) for u in v] for k, v in sets.items() if k[0] in "parx" or k in ("paired", "alone")}
json.dump(keys, open(out / "keys.json", "w"))
pos = {l: i for i, l in enumerate(L)}
y = lambda ls: np.array([pos.get(str(l), 3) for l in ls], np.int8)
gold = {"paired": y(r_.label for r_ in rows), "val": y(r_.label for r_ in c.validation), "real": y(q["label"] for q in real), "items": y(i.label for i in items)}
gold["group_val"] = np.unique([q.group or q.text for q in c.validation], return_inverse=True)[1]
print({k: len(v) for k, v in sets.items()})

def quant(w):
    """int8 in groups of 64 along the last axis."""
    w = w.float(); g = w.reshape(-1, 64) if w.shape[-1] % 64 == 0 else None
    s = g.abs().amax(1, keepdim=True) / 127
    return (g / s.clamp(min=1e-12)).round().to(torch.int8).reshape(w.shape), s.half().squeeze(1)

for short, base, q8 in (("mp", sys.argv[2], True), ("ml", "all-MiniLM-L6-v2", False)):
    b = locate(base)
    enc = save_tokenizer(b, Path(tempfile.mkdtemp()), 256)
    data = {}; used = set(range(0, 4)) | {0, 1, 2, 3}
    for k, v in sets.items():
        e = enc(v)
        ids = np.array([t for one in e for t in one.input_ids], np.uint16)
        data[k + ".ids"] = ids; data[k + ".len"] = np.array([len(one) for one in e], np.uint16)
        data[k + ".first"] = np.array([sum(t == 0 for t in one.token_type_ids) for one in e], np.uint16)
        used |= set(np.unique(ids).tolist())
    used = np.array(sorted(used)); lookup = np.zeros(65536, np.uint16); lookup[used] = np.arange(len(used))
    for k in list(data):
        if k.endswith(".ids"): data[k] = lookup[data[k]]
    np.savez_compressed(out / f"{short}_data.npz", **data, **({"gold." + k: v for k, v in gold.items()}))
    st = load_file(Path(b.location) / "model.safetensors")
    st = {k: v for k, v in st.items() if "position_ids" not in k}
    emb = next(k for k in st if k.endswith("word_embeddings.weight"))
    st[emb] = st[emb][torch.tensor(used)]
    arrays = {}
    for k, v in st.items():
        if q8 and v.ndim == 2 and v.shape[-1] % 64 == 0:
            a, s = quant(v); arrays["q:" + k] = a.numpy(); arrays["s:" + k] = s.numpy()
            back = (a.float().reshape(-1, 64) * s.float()[:, None]).reshape(v.shape)
            err = ((back - v).norm() / v.norm()).item()
            assert err < 0.02, (k, err)
        else: arrays["f:" + k] = v.numpy().astype(np.float32 if v.ndim < 2 else np.float16)
    np.savez(out / f"{short}_w.npz", **arrays)
    print(short, len(used), "vocab", max(data[k].max() for k in data if k.endswith(".len")))
# t0.npz, the logits of the teacher before (teach.py of commit e8b6d6f), lies beside: paired, alone, r0.
