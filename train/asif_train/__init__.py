"""Making and judging models: fine-tuning, calibration, export, evaluation, promotion."""

import asif_serve  # noqa: F401 - first of all, because it keeps onnxruntime from reporting to its maker
