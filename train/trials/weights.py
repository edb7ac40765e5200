"""Trials with weights that are there already: `python train/trials/weights.py ROWS.jsonl MODEL_DIR...`

For labelled rows and model directories of several seeds (a .pt file holds {"last", "avg"} as a callback of the Trainer kept them):
each model alone, the mean of their probabilities, the mean of their logits, the mean of their weights (Wortsman et al. 2022, Model soups),
and each between its base encoder's weights and its own (Wortsman et al. 2022, Robust fine-tuning of zero-shot models). Judged in float32.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp
from sklearn.metrics import f1_score, roc_auc_score
from transformers import AutoModelForSequenceClassification

from asif_data.encoding import InputEncoder
from asif_data.model_dir import load
from asif_data.rows import Row
from asif_train.base_model import locate
from asif_train.dataset import targets
from asif_train.finetune import load_network, torch_logits


def scores(logits: np.ndarray, gold: np.ndarray) -> dict[str, float]:
    inside = gold < 3
    p = log_softmax(np.concatenate([logits, np.zeros((len(logits), 1))], 1), axis=1)
    return {
        "macro-F1": round(f1_score(gold[inside], logits[inside].argmax(1), average="macro"), 4),
        "AUROC": round(roc_auc_score(inside, logsumexp(logits, axis=1)), 4),
        "four-way": round(f1_score(gold, p.argmax(1), average="macro"), 4),
        "NLL": round(float(-p[np.arange(len(gold)), gold].mean()), 4),
    }


def main() -> None:
    known = ("text", "context", "label")
    rows = [Row(**{k: v for k, v in json.loads(line).items() if k in known}) for line in Path(sys.argv[1]).open()]
    directories = [Path(p) for p in sys.argv[2:] if not p.endswith(".pt")]
    labels = load(directories[0]).manifest.labels
    gold = np.array(targets(rows, labels))
    base = load_network(locate(), labels, 0).state_dict()
    found, soup = [], {}
    for directory in directories:
        network = AutoModelForSequenceClassification.from_pretrained(directory)
        encoder = InputEncoder(directory / "tokenizer.json", 256)
        own = {name: value.clone() for name, value in network.state_dict().items()}
        found.append(torch_logits(network, encoder, rows).numpy())
        print(directory, scores(found[-1], gold), flush=True)
        for name, value in own.items():
            soup[name] = soup.get(name, 0) + value / len(directories)
        for share in (0.9, 0.8, 0.7):
            network.load_state_dict(
                {n: v if "classifier" in n or n not in base else share * v + (1 - share) * base[n] for n, v in own.items()}
            )
            print(directory, share, scores(torch_logits(network, encoder, rows).numpy(), gold), flush=True)
    p = np.log(np.mean([np.exp(log_softmax(np.c_[x, np.zeros(len(x))], axis=1)) for x in found], 0))
    print("mean probability", scores(p[:, :3] - p[:, 3:], gold))
    print("mean logit", scores(np.mean(found, 0), gold))
    network.load_state_dict(soup)
    print("mean weights", scores(torch_logits(network, encoder, rows).numpy(), gold))
    for file in (p for p in sys.argv[2:] if p.endswith(".pt")):
        kept = torch.load(file)
        for name, weights in {"last": kept["last"], **{f"last {s:.0%}": w for s, w in kept["avg"].items()}}.items():
            network.load_state_dict(weights, strict=False)
            print(file, name, scores(torch_logits(network, encoder, rows).numpy(), gold), flush=True)


main()
