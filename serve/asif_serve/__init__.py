"""Answering: a verified model behind a predictor and an HTTP app. Needs neither torch nor transformers."""
