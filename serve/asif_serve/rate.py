"""How fast a caller may ask: token buckets."""

import time
from collections.abc import Callable, Mapping, MutableSequence

Memory = Callable[[], MutableSequence[float]]


class Bucket:
    """A token bucket (RFC 2697's, with one rate) that holds a minute's tokens and may go into debt.

    What a request costs is known only once its body is read. So it is let in while a token is left and pays afterwards:
    a request larger than the bucket is answered, and the caller then waits until the debt is gone.
    """

    def __init__(
        self,
        per_minute: int,
        state: MutableSequence[float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`state` is a place for two numbers, also one that several processes share.

        It has no lock, which a process that dies would leave closed: of two requests that pay in the same microsecond
        one may get away free.
        """
        self.per_minute = per_minute
        self._state = [0.0, 0.0] if state is None else state
        self._clock = clock
        self._state[0], self._state[1] = per_minute, clock()

    def wait(self) -> float:
        """Seconds until there is a token; 0 where there is one now."""
        self.take(0)
        return max(0.0, (1 - self._state[0]) * 60 / self.per_minute)

    def take(self, tokens: int) -> None:
        """Take tokens, or give them back where negative."""
        (left, then), now = self._state, self._clock()
        refilled = min(self.per_minute, left + (now - then) * self.per_minute / 60)
        self._state[0], self._state[1] = min(self.per_minute, refilled - tokens), now


def make_buckets(
    keys: Mapping[str, str], per_minute: int, memory: Memory = lambda: [0.0, 0.0]
) -> dict[str | None, Bucket]:
    """A bucket for each name of a key, or one for all callers where there are no keys; none where the rate is 0."""
    names = set(keys.values()) or {None}
    return {name: Bucket(per_minute, memory()) for name in names} if per_minute else {}
