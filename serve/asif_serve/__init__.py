"""Answering: a verified model behind a predictor and an HTTP app. Needs neither torch nor transformers."""

import os

# Before anything imports onnxruntime: since 1.29 it reports to its maker unless it is told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
