"""Making and judging models: fine-tuning, calibration, export, evaluation, promotion."""

import asif_serve  # noqa: F401 - before anything imports ONNX Runtime, it is told there to report to no one
