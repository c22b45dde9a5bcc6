"""PASSporTs that were seen before: the same one for another call is a replay (RFC 8224 §12.1).

What was seen lives in one block of memory of fixed size, which worker processes share: each slot
holds a digest of a PASSporT, a digest of its call, and until when it could be believed. A full
corner of it forgets what expires first, so that memory is bounded whatever comes; then a replay
may go unseen, but no call is ever taken for one that it is not.
"""

import mmap
import struct
from hashlib import blake2b

SLOTS = 1 << 18
"""PASSporTs remembered: those of one minute at four thousand calls a second."""

WAYS = 8
"""Slots in which one PASSporT may stand."""

_SLOT = struct.Struct("<16s8sq")


def shared_memory() -> mmap.mmap:
    """Return memory for `ReplayMemory` that processes forked from this one share."""
    return mmap.mmap(-1, SLOTS * _SLOT.size)


class ReplayMemory:
    """Remembers PASSporTs for as long as they are fresh."""

    def __init__(self, memory: mmap.mmap | bytearray) -> None:
        """Take memory of zeros, or what another process already remembers in it."""
        self._memory = memory
        self._buckets = len(memory) // (_SLOT.size * WAYS)

    def seen(self, token: str, call: str, *, now: int, until: int) -> bool:
        """Remember a PASSporT of a call until a time; say whether another call had it before.

        `call` names the call; the same one may ask again. Times are Unix seconds.
        """
        passport = blake2b(token.encode("ascii", "replace"), digest_size=16).digest()
        this = blake2b(call.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        first = int.from_bytes(passport[:8], "little") % self._buckets * WAYS * _SLOT.size
        oldest, oldest_until = first, None
        for place in range(first, first + WAYS * _SLOT.size, _SLOT.size):
            known, known_call, known_until = _SLOT.unpack_from(self._memory, place)
            if known == passport and known_until >= now:
                return bool(known_call != this)
            if oldest_until is None or known_until < oldest_until:
                oldest, oldest_until = place, known_until
        self._memory[oldest : oldest + _SLOT.size] = _SLOT.pack(passport, this, until)
        return False
