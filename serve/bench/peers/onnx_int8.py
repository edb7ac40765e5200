"""FastAPI around ONNX Runtime, one row at a time on as many threads as ask. `python onnx_int8.py MODEL ONNX PORT`."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from tokenizers import Tokenizer

model, onnx, port = sys.argv[1:]
labels = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))["id2label"]
tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(256)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1  # faster here than several threads on one row: FastAPI runs the rows side by side
session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Pair(BaseModel):
    """A text and what was said before it."""

    text: str
    context: str | None = None


@app.post("/classify")
def answer(pair: Pair) -> list[dict[str, str | float]]:
    """Labels with their scores."""
    row = tokenizer.encode(pair.text, pair.context)
    columns = {"input_ids": row.ids, "attention_mask": row.attention_mask, "token_type_ids": row.type_ids}
    logits = session.run(["logits"], {name: np.array([ids], dtype=np.int64) for name, ids in columns.items()})[0][0]
    scores = np.exp(logits - logits.max())
    return [{"label": labels[str(i)], "score": float(s)} for i, s in enumerate(scores / scores.sum())]


uvicorn.run(app, port=int(port), log_level="warning")
