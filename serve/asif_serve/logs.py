"""The log: one JSON object a line, on stderr. No line holds what a caller sent, nor the message of an exception."""

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


class JsonLines(logging.Formatter):
    """One JSON object a record: time (UTC), level, logger, message and, with an exception, its kind and where it arose.

    An exception's own message may hold an utterance, and so may all but the first line of a record that reports one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        kind, _, where = record.exc_info or (None, None, None)
        if kind:
            line["message"] = line["message"].partition("\n")[0]
            line |= {"error": kind.__name__, "where": "".join(traceback.format_tb(where))}
        return _ENCODE(line | getattr(record, "facts", {}))


def set_up(level: str) -> None:
    """Send the log to stderr: the server's own from `level` on, warnings of libraries, and crashes of threads."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.raiseExceptions = (
        False  # a line that cannot be written would print the exception under way, message and all
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("asif_serve").setLevel(level.upper())
    sys.excepthook = _on_crash
    threading.excepthook = lambda crash: _on_crash(crash.exc_type, crash.exc_value, crash.exc_traceback)


def _on_crash(kind: type[BaseException], error: BaseException | None, where: TracebackType | None) -> None:
    logging.getLogger("asif_serve").critical("crashed", exc_info=(kind, error or kind(), where))
