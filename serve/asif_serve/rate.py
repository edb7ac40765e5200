"""How fast a caller may ask: a token bucket."""

import time
from collections.abc import Callable


class Bucket:
    """A token bucket (RFC 2697's, with one rate) that holds a minute's tokens and may go into debt.

    What a request costs is known only once its body is read. So it is let in while a token is left and pays afterwards:
    a request larger than the bucket is answered, and the caller then waits until the debt is gone.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = self._tokens = float(per_minute)
        self._per_second = per_minute / 60
        self._clock = clock
        self._then = clock()

    def wait(self) -> float:
        """Seconds until there is a token; 0 where there is one now."""
        self.take(0)
        return max(0.0, (1 - self._tokens) / self._per_second)

    def take(self, tokens: int) -> None:
        """Take tokens, or give them back where negative."""
        now = self._clock()
        refilled = min(self._most, self._tokens + (now - self._then) * self._per_second)
        self._tokens, self._then = min(self._most, refilled - tokens), now
