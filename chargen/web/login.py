"""Slows down whoever guesses the password of the page."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network

_FREE = 5  # failures before an address has to wait
_DELAY = 30.0  # seconds between two tries from then on
_REMEMBERED = 10_000  # addresses


class LoginAttempts:
    """Counts the failed logins of each client address; `timer` returns seconds."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many, and when last

    def begin(self, address: str) -> int:
        """Returns the whole seconds that an address has to wait; 0 allows a try and counts it.

        A try counts as a failure until `succeed` is called, so that many at once gain nothing.
        """
        network, now = _network(address), self._timer()
        count, last = self._failures.pop(network, (0, now))
        wait = last + _DELAY - now if count >= _FREE else 0.0
        self._failures[network] = (count, last) if wait > 0 else (count + 1, now)
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)
        return math.ceil(max(wait, 0.0))

    def succeed(self, address: str) -> None:
        """Forgets the failures of an address, which gave the right password."""
        self._failures.pop(_network(address), None)


def _network(address: str) -> str:
    """Returns the network of an address: whoever has one IPv6 address usually has 2**64 of them."""
    try:
        bits = 64 if ip_address(address).version == 6 else 32
    except ValueError:
        return address  # a socket file
    return str(ip_network(f"{address}/{bits}", strict=False))
