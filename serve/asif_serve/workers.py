"""Several server processes on one socket: started, replaced when they die, and stopped together.

uvicorn's own supervisor looks after its processes every half second and starts a new one from nothing, imports and all.
Here the operating system tells at once when a process has ended, and the next one is forked from a process that has
imported the libraries and done nothing else.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait

from prometheus_client.multiprocess import mark_process_dead

from asif_data.errors import AsifError
from asif_serve import logs
from asif_serve.predictor import load_predictor
from asif_serve.rate import Bucket, make_buckets
from asif_serve.server import run
from asif_serve.settings import Settings

log = logging.getLogger("asif_serve")
_FORKS = multiprocessing.get_context("forkserver")
# All that is slow to import, but not onnxruntime, which begins to work when it is imported.
_LIBRARIES = ["fastapi", "prometheus_client", "pydantic_settings", "tokenizers", "typer", "uvicorn"]
_LONGEST_PAUSE = 30.0


class _Worker:
    """The place of one worker: the process that holds it, and when another may begin if that dies."""

    def __init__(self, settings: Settings, listener: socket.socket, buckets: Mapping[str | None, Bucket]) -> None:
        self._arguments = settings, listener, buckets
        self._pause = self._begin = 0.0
        self.start()

    def start(self) -> None:
        """Start a process."""
        self.ready, self._dead = False, False
        self._pipe, other = _FORKS.Pipe(duplex=False)
        self.process = _FORKS.Process(target=_work, args=(*self._arguments, other))
        self.process.start()
        other.close()

    def look(self) -> None:
        """Hear whether the process takes requests, or has died; start another when it is time to."""
        if not self.ready and self._pipe.poll():
            with contextlib.suppress(EOFError):
                self.ready = self._pipe.recv()
        if self.process.is_alive():
            return
        if not self._dead:
            self._dead = True
            self._pipe.close()
            mark_process_dead(self.process.pid)
            self._pause = 0.0 if self.ready else min(2 * self._pause + 1, _LONGEST_PAUSE)
            self._begin = time.monotonic() + self._pause
            log.error("worker %s has died with status %s", self.process.pid, self.process.exitcode)
        if time.monotonic() >= self._begin:
            self.start()


class Supervisor:
    """Keeps `settings.workers` processes answering on one socket until SIGTERM or SIGINT.

    A worker that dies is replaced at once; one that dies before it takes requests, after a pause that grows.
    """

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._workers: list[_Worker] = []
        self._stopping = False

    def run(self, ready: Callable[[], None]) -> None:
        """Start the workers, call `ready` when all take requests, and keep their number.

        Raises AsifError if one cannot start in the first place; the log says why. Also if there is no folder for their
        metrics.
        """
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        _FORKS.set_forkserver_preload(_LIBRARIES)
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # only a process of one thread forks safely
        with _folder() as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            try:
                buckets = make_buckets(self._settings.keys, self._settings.rate, lambda: _FORKS.RawArray("d", 2))
                self._workers = [
                    _Worker(self._settings, self._listener, buckets) for _ in range(self._settings.workers)
                ]
                self._wait_for_all()
                if not self._stopping:
                    ready()
                while not self._stopping:
                    self._look()
            finally:
                self._end()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _wait_for_all(self) -> None:
        while not self._stopping and not all(worker.ready for worker in self._workers):
            if not all(worker.process.is_alive() for worker in self._workers):
                raise AsifError("A worker could not start; what it logged stands above.")
            self._look()

    def _look(self) -> None:
        """Wait a moment, no longer than until a worker dies, and see to all of them."""
        living = [worker.process.sentinel for worker in self._workers if worker.process.is_alive()]
        wait(living, timeout=0.2) if living else time.sleep(0.2)
        for worker in self._workers:
            worker.look()

    def _end(self) -> None:
        """Let the workers finish what is under way; end what is not done in time."""
        self._listener.close()
        for worker in self._workers:
            worker.process.terminate()
        until = time.monotonic() + self._settings.deadline + 10
        for worker in self._workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where the workers' metrics meet. Raises AsifError where nothing may be written."""
    try:
        return tempfile.TemporaryDirectory(prefix="asif-metrics-")
    except OSError as error:
        raise AsifError(
            f"ASIF_WORKERS: expected a folder for temporary files, which several workers need, found none ({error.strerror}); set TMPDIR."
        ) from None


def _work(settings: Settings, listener: socket.socket, buckets: Mapping[str | None, Bucket], pipe: Connection) -> None:
    """One worker, in its own process. It takes no connection before it has a model."""
    logs.set_up(settings.log_level)
    try:
        predictor = load_predictor(settings.model)
        threading.Thread(target=_outlive_no_parent, daemon=True).start()
        run(settings, predictor, listener, lambda: pipe.send(True), buckets)
    except AsifError as error:
        log.critical("%s", error)
        sys.exit(1)
    except Exception:  # multiprocessing would print its message
        log.critical("crashed", exc_info=True)
        sys.exit(1)


def _outlive_no_parent() -> None:
    """Stop as for SIGTERM when the supervisor is gone."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
