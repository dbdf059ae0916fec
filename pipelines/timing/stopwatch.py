"""Which part of a stage takes how long, measured around the real calls."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from inspect import isgeneratorfunction
from time import perf_counter
from typing import Any, NamedTuple
from unittest.mock import patch

REST = "rest"  # what no other part takes


class Call(NamedTuple):
    """A function that belongs to a part.

    Attributes:
        owner: The class or module that it is looked up in.
        name: Of the function.
        part: That its time goes to.
    """

    owner: object
    name: str
    part: str


class Stopwatch:
    """Time by part. One that calls another is not charged for it, and nothing is outside of ``REST``.

    Args:
        settle: Called before each look at the clock: a GPU still works when a call returns.

    Attributes:
        seconds: By part.
        calls: By part.
    """

    def __init__(self, settle: Callable[[], object] = lambda: None) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._settle = settle
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Charge what happens inside to a part."""
        if not self._running and name != REST:
            yield
            return
        self._charge()
        self._running.append(name)
        self.calls[name] += 1
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    @contextmanager
    def watching(self, calls: Sequence[Call]) -> Iterator[None]:
        """Charge these calls to their parts."""
        with ExitStack() as patches:
            for owner, name, part in calls:
                patches.enter_context(patch.object(owner, name, self.around(getattr(owner, name), part)))
            yield

    def around(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """The same function, charged to a part; of a generator, what it takes to make the next item."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(part):
                return function(*args, **kwargs)

        @wraps(function)
        def timed_items(*args: Any, **kwargs: Any) -> Iterator[Any]:
            items = function(*args, **kwargs)
            while True:
                with self.part(part):
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item

        return timed_items if isgeneratorfunction(function) else timed

    def _charge(self) -> None:
        self._settle()
        now = perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now
