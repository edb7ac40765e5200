"""Recipes on trial: fine-tune each with several seeds, judge in float32 on validation and on any other rows.

    python -m asif_train.trials TRIALS.yaml --out FOLDER --on real=ROWS

TRIALS.yaml maps a name to the fields in which its recipe differs from `base`, which differs from the default:
    base: {rows: 3500}
    seeds: [0, 1]
    trials: {plain: {}, smooth: {label_smoothing: 0.1}}
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import transformers
import yaml
from scipy.special import log_softmax

from asif_data.encoding import InputEncoder, Utterance
from asif_data.model_dir import TOKENIZER
from asif_data.rows import Row, read_rows, row_files
from asif_serve.decision import decide, in_scope_of, scores_of
from asif_train import metrics
from asif_train.base_model import locate
from asif_train.calibrate import calibrate
from asif_train.corpus import read_corpus
from asif_train.dataset import Collator, targets
from asif_train.evaluate import _contrast
from asif_train.finetune import input_names, load_network, save_tokenizer, to_cpu, train
from asif_train.fit import git_commit
from asif_train.recipe import read_recipe


@torch.inference_mode()
def batched_logits(network, encoder: InputEncoder, rows: Sequence[Row], context_first: bool, alone: bool = False) -> np.ndarray:
    network = to_cpu(network)
    collator = Collator(network.config.pad_token_id or 0, input_names(network))
    def pair(r):
        if alone or not r.context:
            return Utterance(r.text)
        return Utterance(r.context, r.text) if context_first else Utterance(r.text, r.context)
    encoded = encoder([pair(r) for r in rows])
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    out = np.empty((len(rows), network.config.num_labels), dtype=np.float32)
    for start in range(0, len(order), 32):
        part = order[start : start + 32]
        out[part] = network(**collator.encoded([encoded[i] for i in part])).logits.numpy()
    return out


def judge(logits: np.ndarray, rows: Sequence[Row], labels, calibration) -> dict[str, float]:
    gold = np.array(targets(rows, labels))
    inside = gold < len(labels)
    scores, scope = scores_of(logits, calibration.temperature), in_scope_of(logits, calibration.scope)
    answers = np.array([len(labels) if d.reason == "out_of_scope" else labels.index(d.best) for d in decide(logits, labels, calibration)])
    pinned = log_softmax(np.concatenate([logits, np.zeros((len(logits), 1))], 1), axis=1)
    found = {
        "macro-F1": metrics.macro_f1(gold[inside], scores[inside].argmax(1), len(labels)),
        "AUROC": metrics.scope_auroc(inside, scope),
        "FPR95": metrics.fpr_at_95_tpr(inside, scope),
        "four-way": metrics.macro_f1(gold, answers, len(labels) + 1),
        "NLL": float(-pinned[np.arange(len(gold)), gold].mean()),
    }
    sets = _contrast(rows, answers == gold, [str(i) for i in range(len(rows))], 0)
    if sets:
        found["contrast"] = sets["contrast consistency"]["value"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("trials")
    parser.add_argument("--out", required=True)
    parser.add_argument("--on", action="append", default=[])
    parser.add_argument("--data", default="data/corpus")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    plan = yaml.safe_load(Path(args.trials).read_text())
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(args.data)
    judged = {"validation": corpus.validation}
    judged |= {one.partition("=")[0]: read_rows(row_files(one.partition("=")[2])) for one in args.on}
    results = out / "results.jsonl"
    for name, fields in plan["trials"].items():
        for seed in plan.get("seeds", [0]):
            recipe = read_recipe(None, **(plan.get("base", {}) | fields | {"seed": seed}))
            key = {"recipe": recipe.model_dump(), "corpus_sha256": corpus.sha256}
            known = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
            if any(all(k[f] == v for f, v in key.items()) for k in known):
                continue
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                base = locate(recipe.base_model)
                save_tokenizer(base, Path(folder) / "tokenizer", recipe.max_tokens)
                encoder = InputEncoder(Path(folder) / "tokenizer" / TOKENIZER, recipe.max_tokens)
                network = load_network(base, corpus.labels, recipe.seed)
                train(network, corpus, encoder, recipe, Path(folder) / "checkpoints", False)
                seconds = time.perf_counter() - start
                logits = {n: batched_logits(network, encoder, rows, recipe.context_first) for n, rows in judged.items()}
                alone = {n + "_alone": batched_logits(network, encoder, rows, recipe.context_first, True) for n, rows in judged.items() if n != "validation"}
                torch.save(network.state_dict(), out / f"{name}-{seed}.pt")
            calibration = calibrate(logits["validation"], np.array(targets(corpus.validation, corpus.labels)))
            scores = {n: judge(logits[n], rows, corpus.labels, calibration) for n, rows in judged.items()}
            np.savez(out / f"{name}-{seed}.npz", **logits, **alone)
            record = {"name": name, "seed": seed, "seconds": round(seconds), "scores": scores, "git_commit": git_commit()} | key
            with results.open("a") as file:
                file.write(json.dumps(record) + "\n")
            print(name, seed, round(seconds), {n: {k: round(v, 3) for k, v in s.items()} for n, s in scores.items()}, flush=True)
    show(results)


def show(results: Path) -> None:
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    for name in dict.fromkeys(r["name"] for r in rows):
        part = [r for r in rows if r["name"] == name]
        cells = [f"{j} " + " ".join(f"{m} {mean(r['scores'][j][m] for r in part):.3f}" for m in part[0]["scores"][j]) for j in part[0]["scores"]]
        print(f"{name:18s} n={len(part)} {mean(r['seconds'] for r in part):.0f}s | " + " | ".join(cells))


if __name__ == "__main__":
    main()
