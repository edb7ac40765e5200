"""Means over seeds, by recipe, of what distil.py found, and the teachers' answers together: python train/trials/table.py WORK."""
import collections, json, sys
from pathlib import Path
import numpy as np
from sklearn.metrics import f1_score, roc_auc_score
W = Path(sys.argv[1])
z = {f"{p.stem}/{k}": v for p in (W / "res").glob("*.npz") if ".train" not in p.name for k, v in np.load(p).items()}
t = np.load(W / "ml_data.npz"); gold = {k[5:]: t[k] for k in t.files if k.startswith("gold.")}
meta = json.load(open(W / "meta.json")); place = {i[0]: n for n, i in enumerate(meta["items"])}
none = np.array([i[1] == "none" for i in meta["items"]])
def full(l): return np.concatenate([l, np.zeros((len(l), 1))], 1).astype(np.float64)
def m(p, g):
    ins = g < 3
    return [f1_score(g[ins], p[ins, :3].argmax(1), average="macro"), roc_auc_score(ins, -p[:, 3]), f1_score(g, p.argmax(1), average="macro")]
def shares(l): e = np.exp(full(l)); return e / e.sum(1, keepdims=True)
def row(n, b):
    s = {k: shares(z[f"{n}/{k}@{b}"]) for k in ("real", "val", "items", "inv")}
    a, c = s["items"].argmax(1), s["inv"].argmax(1)
    return [*m(s["real"], gold["real"]), *m(s["val"], gold["val"]), (a == gold["items"]).sum(), (a == gold["items"])[none].sum(),
            np.mean([c[j] == a[place[i]] for j, (_, i) in enumerate(meta["inv"])])]
by = collections.defaultdict(list)
for n in sorted({k.split("/")[0] for k in z}):
    for b in ("0.0", "0.1"): by[n.split("-")[0], b].append(row(n, b))
for k, v in sorted(by.items()): print(*k, len(v), np.mean(v, 0).round(4).tolist(), np.std(v, 0).round(3).tolist()[:3])
for s in ("real", "val"): print("teachers together", s, np.round(m(sum(shares(z[f"teach-{i}/{s}@0.0"]) for i in range(8)) / 8, gold[s]), 4))
rng = np.random.default_rng(0)
for one, other, seeds in (("ref", "A", range(4)), ("A", "G", range(3)), ("B", "D", range(3)), ("ref", "G", range(3))):
    for s in ("real", "val"):
        g = gold[s]
        d = lambda i: np.mean([np.subtract(m(shares(z[f"{other}-{q}/{s}@0.1"])[i], g[i]), m(shares(z[f"{one}-{q}/{s}@0.1"])[i], g[i])) for q in seeds], 0)
        D = [d(rng.integers(0, len(g), len(g))) for _ in range(400)]
        print(f"{other} less {one}", s, d(np.arange(len(g))).round(4), np.percentile(D, [2.5, 97.5], axis=0).round(3).tolist())
