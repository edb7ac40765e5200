"""Making and judging models: fine-tuning, calibration, export, evaluation, promotion."""
