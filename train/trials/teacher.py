"""One short trial of a recipe: python train/trials/screen.py OUT.jsonl NAME [field=value ...].

Trains on packed rows in bfloat16 and judges in float32, on validation and on the rows of `real`. The fields and what
they are for are in DEFAULTS. Kept in history only.
"""

import json
import math
import random
import re
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import transformers
from sklearn.metrics import f1_score, roc_auc_score
from torch.nn import functional as F

from asif_data.encoding import Utterance
from asif_data.rows import Row
from asif_train.base_model import locate
from asif_train.corpus import read_corpus
from asif_train.dataset import Collator, PairDataset, drops_context, targets
from asif_train.finetune import input_names, load_network, save_tokenizer, torch_logits
from asif_train.packing import PackedCollator, can_pack, packed

DEFAULTS = {
    "data": "data/corpus", "real": "", "seed": 0, "base": "all-MiniLM-L6-v2",
    "rows": 2000, "epochs": 3.0, "batch": 32, "lr": 1e-4, "warm": 0.1, "wd": 0.01, "ctx": 0.3, "tokens": 256,
    "decay": 1.0,       # learning rate of a layer over that of the next above
    "freeze": 0,        # 1: leave the embeddings as they are
    "order": "reply",   # "client": the client's turn first
    "noise": 0.0,       # share of rows whose text is noised, anew each epoch
    "smooth": 0.0,      # label smoothing over the labels and none
    "votes": 0,         # 1: the shares of the annotators' votes as target
    "soft": "", "softw": 0.5,  # a teacher's probabilities by row id, and their weight
    "loss": "pinned",   # "oe", "energy", "aux": other ways to teach when to withhold
    "contrast": 0.0,    # weight of the supervised contrastive loss; contrast sets then stay in one batch
    "warmup_pairs": 0,  # updates of supervised contrastive learning before the head is trained
    "sorted": 0,
    "save": "",
}  # fmt: skip
P = dict(DEFAULTS)
FILLERS = ["um,", "uh", "you know,", "I mean,", "like", "well,", "uh,", "so,", "er"]
BRACKETS = ["[laughs]", "[sighs]", "[pause]", "[crying]", "[inaudible]", "(laughs)", "[nods]", "[crosstalk]"]


def noisy(text, rng):
    kind = rng.randrange(6)
    if kind == 0:
        return text.lower()
    if kind == 1:
        return re.sub(r"[^\w\s']", "", text).lower()
    if kind == 2:
        return re.sub(r"[,.;:!?]", "", text)
    words = text.split()
    if kind == 3:
        for _ in range(max(1, len(words) // 10)):
            words.insert(rng.randrange(len(words) + 1), rng.choice(FILLERS))
    elif kind == 4:
        for _ in range(max(1, len(words) // 8)):
            i = rng.randrange(len(words))
            w = words[i]
            if len(w) > 3:
                j = rng.randrange(1, len(w) - 1)
                words[i] = rng.choice([w[:j] + w[j + 1 :], w[:j] + w[j] * 2 + w[j + 1 :], w[:j] + w[j + 1] + w[j] + w[j + 2 :]])
    else:
        words.insert(rng.choice([0, len(words), rng.randrange(len(words) + 1)]), rng.choice(BRACKETS))
    return " ".join(words)


def in_order(row):
    """With order=client the two texts change places."""
    if P["order"] == "client" and row.context:
        return row.model_copy(update={"text": row.context, "context": row.text})
    return row


def supcon(features, labels, temperature=0.1):
    """Supervised contrastive loss (Khosla et al. 2020, equation 2) over the rows of a batch."""
    z = F.normalize(features.float(), dim=1)
    sim = z @ z.T / temperature
    own = torch.eye(len(z), dtype=torch.bool)
    same = (labels[:, None] == labels[None]) & ~own
    logp = sim - torch.logsumexp(sim.masked_fill(own, -1e9), 1, keepdim=True)
    has = same.any(1)
    return -((logp * same).sum(1)[has] / same.sum(1)[has]).mean()


def batches(rows, rng):
    """Random order; where sets are to stay together, whole sets in random order."""
    if not P["contrast"]:
        order = [int(i) for i in rng.permutation(len(rows))]
    else:
        units = {}
        for i, row in enumerate(rows):
            units.setdefault(row.contrast_set or f"row {i}", []).append(i)
        keys = list(units)
        order = [i for k in rng.permutation(len(keys)) for i in units[keys[k]]]
    if P["sorted"]:  # about equally long rows stand in one batch: for networks whose rows can't be packed
        pool = 16 * P["batch"]
        order = [i for s in range(0, len(order), pool) for i in sorted(order[s : s + pool], key=lambda i: len(rows[i].text) + len(rows[i].context or ""))]
    found = [order[s : s + P["batch"]] for s in range(0, len(order), P["batch"])]
    return [found[i] for i in rng.permutation(len(found))] if P["sorted"] else found


def optimizer(net):
    layers = net.config.num_hidden_layers
    groups = {}
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            continue
        found = re.search(r"layer\.(\d+)\.", name)
        depth = 0 if ".embeddings." in name else int(found[1]) + 1 if found else layers + 1
        wd = 0.0 if name.endswith("bias") or "LayerNorm" in name else P["wd"]
        groups.setdefault((P["decay"] ** (layers + 1 - depth), wd), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": v, "lr": P["lr"] * s, "weight_decay": w} for (s, w), v in groups.items()], fused=True
    )


def soft_targets(rows, labels):
    if P["votes"]:
        names = [*labels, "none"]
        return torch.tensor([[np.mean([v.label == n for v in r.votes]) if r.votes else float(r.label == n) for n in names] for r in rows]).float()
    if P["soft"]:
        told = {r["id"]: r["p"] for r in map(json.loads, open(P["soft"]))}
        return torch.tensor(np.array([told[r.id] for r in rows]), dtype=torch.float32)
    return None


def loss_of(logits, y, target):
    logits = logits.float()
    inside = y < 3
    if P["loss"] == "aux":
        return F.cross_entropy(logits, y)
    if P["loss"] in ("oe", "energy"):
        loss = F.cross_entropy(logits[inside], y[inside], reduction="sum") / len(y)
        if P["loss"] == "oe":  # Hendrycks et al. 2019
            return loss - 0.5 * F.log_softmax(logits[~inside], 1).mean(1).sum() / len(y)
        energy = -torch.logsumexp(logits, 1)  # Liu et al. 2020, section 3.2
        return loss + 0.1 * ((F.relu(energy[inside] + 6) ** 2).sum() + (F.relu(1 - energy[~inside]) ** 2).sum()) / len(y)
    logp = F.log_softmax(torch.cat([logits, logits.new_zeros(len(logits), 1)], 1), 1)
    return -(target * logp).sum(1).mean()


def main():
    out, name = sys.argv[1], sys.argv[2]
    for argument in sys.argv[3:]:
        key, value = argument.split("=", 1)
        P[key] = type(DEFAULTS[key])(value)
    transformers.logging.set_verbosity_error()
    start = time.time()
    corpus = read_corpus(P["data"])
    base = locate(P["base"])
    encoder = save_tokenizer(base, Path(tempfile.mkdtemp()), P["tokens"])
    net = load_network(base, (*corpus.labels, "none") if P["loss"] == "aux" else corpus.labels, P["seed"])
    if P["freeze"]:
        net.get_input_embeddings().requires_grad_(False)
    rows = corpus.sample(P["rows"] or None)
    shown = [in_order(row) for row in rows]
    dataset = PairDataset(shown, corpus.labels, encoder, context_dropout=P["ctx"] if P["order"] == "reply" else 0.0, seed=P["seed"])
    soft = soft_targets(rows, corpus.labels)
    packs = can_pack(net)
    collate = PackedCollator(net) if packs else Collator(net.config.pad_token_id or 0, input_names(net))
    pooled = {}
    if P["contrast"] or P["warmup_pairs"]:
        net.bert.pooler.register_forward_hook(lambda m, a, o: pooled.__setitem__("z", o))
    total = round(math.ceil(len(rows) / P["batch"]) * P["epochs"]) + P["warmup_pairs"]
    opt = optimizer(net)
    schedule = transformers.get_linear_schedule_with_warmup(opt, round(total * P["warm"]), total)
    rng, noise = np.random.default_rng(P["seed"]), random.Random(P["seed"])
    net.train()
    step = epoch = 0
    begin = 0
    ck = Path(P["save"] + ".ck")
    if ck.exists():
        state = torch.load(ck)
        net.load_state_dict(state["net"]); opt.load_state_dict(state["opt"]); schedule.load_state_dict(state["sched"])
        begin = state["step"]
        print("resumed at", begin, flush=True)
    t0 = time.time(); running = 0.0
    with packed(net) if packs else nullcontext():
        while step < total:
            dataset.epoch = epoch
            for ids in batches(rows, rng):
                if step < begin:
                    step += 1
                    continue
                items = []
                for i in ids:
                    item = dataset[i]
                    if P["noise"] and noise.random() < P["noise"]:
                        alone = drops_context(P["seed"], epoch, i, P["ctx"])
                        [e] = encoder([Utterance(noisy(rows[i].text, noise), None if alone else rows[i].context)])
                        item = {"input_ids": e.input_ids, "token_type_ids": e.token_type_ids, "labels": item["labels"]}
                    items.append(item)
                batch = collate(items)
                y = batch.pop("labels")
                with torch.autocast("cpu", torch.bfloat16):
                    logits = net(**batch).logits
                if step < P["warmup_pairs"]:
                    loss = supcon(pooled["z"], y)
                else:
                    target = F.one_hot(y, 4).float() * (1 - P["smooth"]) + P["smooth"] / 4
                    if soft is not None:
                        w = 1.0 if P["votes"] else P["softw"]
                        target = (1 - w) * target + w * soft[ids]
                    loss = loss_of(logits, y, target)
                    if P["contrast"]:
                        loss = loss + P["contrast"] * supcon(pooled["z"], y)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                opt.step()
                schedule.step()
                opt.zero_grad()
                step += 1
                running = 0.98 * running + 0.02 * float(loss)
                if step % 10 == 0:
                    print(step, total, round(running / (1 - 0.98 ** (step - begin)), 4), round(time.time() - t0), flush=True)
                if step % 100 == 0:
                    torch.save({"net": net.state_dict(), "opt": opt.state_dict(), "sched": schedule.state_dict(), "step": step}, str(ck) + ".new")
                    Path(str(ck) + ".new").rename(ck)
                if step >= total:
                    break
            epoch += 1
    if P["save"]:
        torch.save(net.state_dict(), P["save"])
    seconds = round(time.time() - start)
    found = {"name": name, **P, "s": seconds, **judge(net, encoder, corpus)}
    with open(out, "a") as file:
        file.write(json.dumps(found) + "\n")
    print(name, P["seed"], found["val"], found.get("real"), seconds, flush=True)


def judge(net, encoder, corpus):
    net.eval()
    sets = {"val": corpus.validation[::3]}
    if P["real"]:
        sets["real"] = [Row(**{k: v for k, v in json.loads(x).items() if k in ("text", "context", "label")}) for x in open(P["real"])]
    return {
        k: scores(torch_logits(net, encoder, [in_order(r) for r in v]).numpy(), np.array(targets(v, corpus.labels)))
        for k, v in sets.items()
    }


def scores(logits, gold):
    inside = gold < 3
    energy = np.log(np.exp(logits[:, :3]).sum(1)) - (logits[:, 3] if logits.shape[1] == 4 else 0)
    four = logits if logits.shape[1] == 4 else np.concatenate([logits, np.zeros((len(logits), 1))], 1)
    four = four - np.log(np.exp(four).sum(1, keepdims=True))
    soft = np.exp(logits[:, :3] - logits[:, :3].max(1, keepdims=True))
    highest = (soft / soft.sum(1, keepdims=True)).max(1)
    bound = np.quantile(energy[inside], 0.05)
    return {
        "three": round(f1_score(gold[inside], logits[inside, :3].argmax(1), average="macro"), 4),
        "auroc": round(roc_auc_score(inside, energy), 4),
        "auroc_softmax": round(roc_auc_score(inside, highest), 4),
        "fpr95": round(float((energy[~inside] >= bound).mean()), 4),
        "four": round(f1_score(gold, four.argmax(1), average="macro"), 4),
        "nll": round(float(-four[np.arange(len(gold)), gold].mean()), 4),
    }


if __name__ == "__main__":
    main()
