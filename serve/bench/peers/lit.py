"""LitServe around the network in torch, rows that wait are answered together. `python lit.py MODEL PORT WORKERS`."""

import sys
from typing import Any

import litserve
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


class Classifier(litserve.LitAPI):
    """The model behind /predict."""

    def __init__(self, model: str, threads: int, **options: Any) -> None:
        super().__init__(**options)
        self._path = model
        self._threads = threads

    def setup(self, device: str) -> None:
        """Load the model, in each worker."""
        torch.set_num_threads(self._threads)
        self._tokenizer = AutoTokenizer.from_pretrained(self._path)
        self._network = AutoModelForSequenceClassification.from_pretrained(self._path).to(device).eval()

    def decode_request(self, request: dict[str, Any]) -> tuple[str, str]:
        """The pair of a body. The tokenizer takes rows with and without a context in one batch only as pairs."""
        return request["text"], request["context"] or ""

    def predict(self, pairs: list[tuple[str, str]]) -> list[list[float]]:
        """Scores of each pair."""
        rows = self._tokenizer(pairs, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return self._network(**rows).logits.softmax(-1).tolist()

    def encode_response(self, scores: list[float]) -> list[dict[str, Any]]:
        """Labels with their scores."""
        names = self._network.config.id2label
        return [{"label": names[i], "score": score} for i, score in enumerate(scores)]


if __name__ == "__main__":
    model, port, workers = sys.argv[1:]
    api = Classifier(model, threads=1, max_batch_size=8, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(workers), track_requests=False)
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning")
