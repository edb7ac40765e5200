"""Tracking: the curves of a run, as the Trainer sends them to TensorBoard or another tracker."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from asif_data.errors import AsifError

TENSORBOARD = "tensorboard"
_FOLDER = "TENSORBOARD_LOGGING_DIR"  # transformers takes it from the environment alone


def check_tracker(name: str | None) -> None:
    """Raise AsifError unless `name` is None or a tracker that the Trainer knows and that is installed."""
    if name is None:
        return
    if name not in INTEGRATION_TO_CALLBACK:
        raise AsifError(f"--report-to: expected one of {', '.join(sorted(INTEGRATION_TO_CALLBACK))}, found {name!r}.")
    if name not in get_available_reporting_integrations():
        install = "pip install 'asif[tracking]'" if name == TENSORBOARD else "install its package"
        raise AsifError(f"--report-to: expected {name} to be installed, found it missing; {install}.")


@contextmanager
def curves_in(folder: Path) -> Iterator[None]:
    """Inside the block TensorBoard's files go to `folder`, unless the environment names another."""
    if _FOLDER in os.environ:
        yield
        return
    os.environ[_FOLDER] = str(folder)
    try:
        yield
    finally:
        del os.environ[_FOLDER]
