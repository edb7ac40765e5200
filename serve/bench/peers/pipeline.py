"""FastAPI around a transformers pipeline: what one writes first. `python pipeline.py MODEL PORT`."""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

model, port = sys.argv[1:]
classify = pipeline("text-classification", model=model, top_k=None)
app = FastAPI()


class Pair(BaseModel):
    """A text and what was said before it."""

    text: str
    context: str | None = None


@app.post("/classify")
def answer(pair: Pair) -> Any:
    """Labels with their scores."""
    return classify({"text": pair.text, "text_pair": pair.context}, truncation=True)


uvicorn.run(app, port=int(port), log_level="warning")
