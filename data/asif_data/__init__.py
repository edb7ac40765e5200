"""What an utterance is: labels, rows, splits, agreement, the model input and the model directory.

This room is light on purpose: no torch, no transformers, no web framework.
"""
