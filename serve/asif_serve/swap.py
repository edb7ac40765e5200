"""The model in service, and its replacement while requests run."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from asif_data.errors import AsifError
from asif_serve.predictor import Predictor, load_predictor
from asif_serve.telemetry import Telemetry

log = logging.getLogger("asif_serve")
# A model that would not load is tried again after 2, 4, 8 ... seconds: its files may still be on their way.
_LONGEST_PAUSE = 60.0


class ModelInService:
    """The predictor that answers, and the watch over the link that names it.

    A request takes `predictor` once and keeps to it, so each answer is of one model. The one that was replaced goes when
    the last request that holds it is answered.
    """

    def __init__(self, path: Path, predictor: Predictor | None, telemetry: Telemetry) -> None:
        self.predictor = predictor
        self._path = path
        self._telemetry = telemetry
        self._refused: tuple[Path, str] | None = None
        self._pause, self._not_before = 1.0, 0.0
        if predictor:
            telemetry.model(predictor.model.manifest)

    async def look(self, load: Callable[[Path], Predictor] = load_predictor) -> None:
        """Put the model that the link names into service, if it is another one and verifies; else keep the old one."""
        target = self._path.resolve()
        if self.predictor and target == self.predictor.model.path:
            self._accept()
            return
        if self._refused and self._refused[0] == target and time.monotonic() < self._not_before:
            return
        try:
            # Verified, opened and warmed up on a thread; requests are answered by the old model meanwhile.
            predictor = await asyncio.to_thread(load, target)
        except Exception as error:  # whatever is wrong with a new model, the old one must go on
            self._refuse(target, str(error) if isinstance(error, AsifError | OSError) else type(error).__name__)
            return
        self.predictor = predictor
        self._accept()
        self._telemetry.model(predictor.model.manifest)
        log.info("model %s is in service", predictor.model.manifest.version)

    def _accept(self) -> None:
        if self._refused:
            self._telemetry.refused(self._refused[0].name, False)
            self._refused = None

    def _refuse(self, target: Path, reason: str) -> None:
        again = self._refused == (target, reason)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if again else 2.0
        self._not_before = time.monotonic() + self._pause
        if again:
            return
        self._accept()
        self._refused = (target, reason)
        self._telemetry.refused(target.name, True)
        log.error("the model at %s is refused, the one before stays in service: %s", target, reason)
