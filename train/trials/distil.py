"""Teachers and what they teach, on a GPU: as many `python train/trials/distil.py WORK` at a time as it feeds. WORK holds what pack.py made,
jobs.json (jobs.py), the file mp.ready, and deadline: the second, since 1970, after which no job is begun."""
import json, math, os, sys, time, traceback
from pathlib import Path
import numpy as np
W = Path(sys.argv[1]); TINY = len(sys.argv) > 2
def deadline(): return float((W / "deadline").read_text())
os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from torch.nn import functional as F
transformers.logging.set_verbosity_error()
DEV = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)
CONF = {
 "mp": dict(model_type="mpnet", vocab_size=0, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, hidden_act="gelu", hidden_dropout_prob=.1, attention_probs_dropout_prob=.1, max_position_embeddings=514, layer_norm_eps=1e-5, relative_attention_num_buckets=32, pad_token_id=1, bos_token_id=0, eos_token_id=2),
 "ml": dict(model_type="bert", vocab_size=0, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, hidden_act="gelu", hidden_dropout_prob=.1, attention_probs_dropout_prob=.1, max_position_embeddings=512, layer_norm_eps=1e-12, type_vocab_size=2, pad_token_id=0),
}
TRAIN = ["paired", "alone", "r0", "r1", "r2", "r3", "x0", "x1"]
JUDGE = ["val", "real", "items", "inv", "before", "after"]
CLS = {"mp": "MPNet", "ml": "Bert"}
_data = {}

class Data:
    def __init__(self, kind):
        z = np.load(W / f"{kind}_data.npz")
        self.pad = CONF[kind]["pad_token_id"]
        self.off, self.n = {}, {}
        ids, lens, first = [], [], []
        at = 0
        for k in TRAIN + JUDGE:
            l = z[k + ".len"].astype(np.int64)
            m = np.full((len(l), 256), self.pad, np.int16)
            m[np.arange(256)[None] < l[:, None]] = z[k + ".ids"].astype(np.int16)
            self.off[k], self.n[k] = at, len(l); at += len(l)
            ids.append(m); lens.append(l); first.append(z[k + ".first"].astype(np.int64))
        self.lens = np.concatenate(lens)
        self.ids = torch.from_numpy(np.concatenate(ids)).to(DEV)
        self.glens = torch.from_numpy(self.lens).to(DEV)
        self.first = torch.from_numpy(np.concatenate(first)).to(DEV)
        self.gold = {k[5:]: z[k] for k in z.files if k.startswith("gold.")}
        self.cols = torch.arange(256, device=DEV)
    def index(self, k):
        n = self.n[k]
        return np.arange(self.off[k], self.off[k] + (min(n, 96) if TINY else n))
    def batch(self, g, width, kind):
        ids = self.ids[g, :width].long()
        c = self.cols[:width]
        mask = (c[None] < self.glens[g, None]).long()
        out = {"input_ids": ids, "attention_mask": mask}
        if kind == "ml":
            out["token_type_ids"] = ((c[None] >= self.first[g, None]).long() * mask)
        return out

def data(kind):
    if kind not in _data:
        _data[kind] = Data(kind)
    return _data[kind]

def network(kind, seed):
    z = np.load(W / f"{kind}_w.npz")
    st = {}
    for k in z.files:
        if k.startswith("f:"):
            st[k[2:]] = torch.from_numpy(z[k].astype(np.float32))
        elif k.startswith("q:"):
            a = torch.from_numpy(z[k]).float(); s = torch.from_numpy(z["s:" + k[2:]]).float()
            st[k[2:]] = (a.reshape(-1, 64) * s[:, None]).reshape(a.shape)
    conf = dict(CONF[kind]); mt = conf.pop("model_type")
    emb = next(v for k, v in st.items() if k.endswith("word_embeddings.weight"))
    conf["vocab_size"] = len(emb)
    cfg = transformers.AutoConfig.for_model(mt, **conf, num_labels=3)
    transformers.set_seed(seed)
    net = getattr(transformers, CLS[kind] + "ForSequenceClassification")(cfg)
    pre = net.base_model_prefix + "."
    st = {(k if k.startswith(pre) else pre + k): v for k, v in st.items()}
    info = net.load_state_dict(st, strict=False)
    bad = [k for k in info.missing_keys if k.startswith(pre) and "position_ids" not in k and "pooler" not in k]
    assert not bad, bad
    return net.to(DEV)

def autocast():
    return torch.autocast(DEV, torch.bfloat16)

@torch.inference_mode()
def logits_of(net, kind, d, idx, bs=256):
    net.eval()
    out = np.zeros((len(idx), 3), np.float32)
    order = np.argsort(d.lens[idx], kind="stable")
    got = []
    for s in range(0, len(order), bs):
        part = order[s:s + bs]
        g = torch.from_numpy(idx[part]).to(DEV)
        with autocast():
            got.append(net(**d.batch(g, int(d.lens[idx[part]].max()), kind)).logits.float())
    out[order] = torch.cat(got).cpu().numpy()
    return out

def told(files, T, d):
    """Shares by set of what teachers say."""
    out = {}
    zs = [np.load(f) for f in files]
    for k in TRAIN:
        if all(k in z.files for z in zs):
            p = 0
            for z in zs:
                l = torch.from_numpy(z[k].astype(np.float32))
                p = p + F.softmax(torch.cat([l, torch.zeros(len(l), 1)], 1) / T, 1)
            out[k] = p / len(zs)
    return out

def train(job):
    kind, seed = job["kind"], job["seed"]
    epochs, lr, bs, ctx = job.get("epochs", 3), job["lr"], job.get("bs", 32), job.get("ctx", .3)
    d = data(kind)
    net = network(kind, seed)
    base = {n: p.detach().clone() for n, p in net.base_model.named_parameters()}
    own = F.one_hot(torch.from_numpy(d.gold["paired"].astype(np.int64)), 4).float()
    soft, share = None, job.get("share", .7)
    if job.get("soft"):
        files = [W / "t0.npz"] if job["soft"] == "t0" else sorted((W / "res").glob("teach-*.train.npz"))
        if job["soft"].startswith("one"):
            files = [W / "res" / (job["soft"][4:] + ".train.npz")]
        soft = told(files, job.get("T", 2.0), d)
    n = len(d.index("paired"))
    own = own[:n]
    target = torch.zeros(len(d.lens), 4)
    for k in ("paired", "alone"):
        target[d.index(k)] = own if soft is None else (1 - share) * own + share * soft[k][:n]
    for k in TRAIN[2:]:
        if soft is not None and k in soft:
            target[d.index(k)] = soft[k][:len(d.index(k))]
    target = target.to(DEV)
    news = job.get("news", [])
    def epoch_index(e):
        rng = np.random.default_rng([seed, e])
        rows = np.where(rng.random(n) < ctx, d.index("alone"), d.index("paired"))
        idx = np.concatenate([rows, *(d.index(k) for k in (news[e % len(news)] if news else []))])
        rng.shuffle(idx)
        pool = 50 * bs
        idx = np.concatenate([p[np.argsort(-d.lens[p], kind="stable")] for p in (idx[s:s + pool] for s in range(0, len(idx), pool))])
        found = [idx[s:s + bs] for s in range(0, len(idx), bs)]
        return [found[i] for i in rng.permutation(len(found))]
    plan = [epoch_index(e) for e in range(math.ceil(epochs))]
    batches = [b for e in plan for b in e]
    total = round(sum(len(e) for e in plan) * epochs / math.ceil(epochs))
    batches = batches[:total]
    wd, no = [], []
    for name, p in net.named_parameters():
        (no if name.endswith("bias") or "LayerNorm" in name else wd).append(p)
    opt = torch.optim.AdamW([{"params": wd, "weight_decay": .01}, {"params": no, "weight_decay": 0.}], lr=lr, fused=True)
    sched = transformers.get_linear_schedule_with_warmup(opt, round(total * .1), total)
    flat = torch.from_numpy(np.concatenate(batches)).to(DEV)
    net.train()
    at = 0; running = torch.zeros((), device=DEV)
    for b in batches:
        g = flat[at:at + len(b)]; at += len(b)
        with autocast():
            lg = net(**d.batch(g, int(d.lens[b].max()), kind)).logits
        lg = lg.float()
        logp = F.log_softmax(torch.cat([lg, lg.new_zeros(len(lg), 1)], 1), 1)
        loss = -(target[g] * logp).sum(1).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step(); sched.step(); opt.zero_grad()
        running = running * .98 + .02 * loss.detach()
    res = {"job": job, "steps": total, "loss": round(float(running), 4)}
    save = {}
    for k in JUDGE:
        save[f"{k}@0.0"] = logits_of(net, kind, d, d.index(k))
    if job.get("label"):
        np.savez(W / "res" / f"{job['name']}.train.npz.tmp.npz", **{k: logits_of(net, kind, d, d.index(k)).astype(np.float16) for k in TRAIN})
        os.rename(W / "res" / f"{job['name']}.train.npz.tmp.npz", W / "res" / f"{job['name']}.train.npz")
    was = 0.0
    for share_ in (0.1, 0.2):
        with torch.no_grad():
            step = (share_ - was) / (1 - was); was = share_
            for name, p in net.base_model.named_parameters():
                p.lerp_(base[name], step)
        for k in JUDGE:
            save[f"{k}@{share_}"] = logits_of(net, kind, d, d.index(k))
    for s in ("0.0", "0.1", "0.2"):
        res["base " + s] = {k: scores(save[f"{k}@{s}"], d.gold[k][:len(save[f"{k}@{s}"])]) for k in ("val", "real")}
        res["base " + s]["items"] = round(float((full(save[f"items@{s}"]).argmax(1) == d.gold["items"][:len(save[f"items@{s}"])]).mean()), 4)
    np.savez(W / "res" / f"{job['name']}.npz", **{k: v.astype(np.float16) for k, v in save.items()})
    return res

def full(l):
    return np.concatenate([l, np.zeros((len(l), 1))], 1)

def scores(l, gold):
    from sklearn.metrics import f1_score, roc_auc_score
    ins = gold < 3
    en = np.log(np.exp(l.astype(np.float64)).sum(1))
    four = full(l); lp = four - np.log(np.exp(four).sum(1, keepdims=True))
    return [round(float(v), 4) for v in (f1_score(gold[ins], l[ins].argmax(1), average="macro"), roc_auc_score(ins, en) if 0 < ins.sum() < len(ins) else 0, f1_score(gold, four.argmax(1), average="macro"), -lp[np.arange(len(gold)), gold].mean())]

def ready(job, jobs):
    if job["kind"] == "mp" and not (W / "mp.ready").exists():
        return False
    if job.get("soft", "").startswith(("ens", "one")):
        return all(any((W / "res" / f"{j['name']}{s}").exists() for s in (".json", ".err")) for j in jobs if j.get("label"))
    return True

def main():
    (W / "res").mkdir(exist_ok=True); (W / "claim").mkdir(exist_ok=True)
    print("worker", os.getpid(), DEV, flush=True)
    while time.time() < deadline():
        jobs = json.loads((W / "jobs.json").read_text())
        for job in jobs:
            if time.time() + job.get("needs", 25) > deadline() or not ready(job, jobs):
                continue
            try:
                os.mkdir(W / "claim" / job["name"])
            except FileExistsError:
                continue
            t = time.time()
            try:
                res = train(job); res["s"] = round(time.time() - t, 1); res["end"] = round(time.time())
                (W / "res" / f"{job['name']}.json.tmp").write_text(json.dumps(res)); os.rename(W / "res" / f"{job['name']}.json.tmp", W / "res" / f"{job['name']}.json")
                print(json.dumps({"name": job["name"], "s": res["s"], "loss": res["loss"], "0": res["base 0.0"], ".1": res["base 0.1"]}), flush=True)
            except Exception:
                (W / "res" / f"{job['name']}.err").write_text(traceback.format_exc())
                print("ERR", job["name"], traceback.format_exc()[-600:], flush=True)
            torch.cuda.empty_cache() if DEV == "cuda" else None
            break
        else:
            if all((W / "claim" / j["name"]).exists() for j in jobs):
                break
            time.sleep(1)
main()
