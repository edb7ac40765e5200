"""Answering: a verified model behind a predictor and an HTTP app. Needs neither torch nor transformers."""

import os

# ONNX Runtime's wheels report to their maker unless told not to, and are told only before they are first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
