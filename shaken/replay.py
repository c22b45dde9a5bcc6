"""PASSporTs that were seen before: the same one for another call is a replay (RFC 8224 §12.1).

What was seen lives in one block of memory of fixed size, which worker processes share: each slot
holds a digest of a PASSporT, a digest of its call, and until when it could be believed. A full
corner of it forgets what expires first, so that memory is bounded whatever comes.

Nothing locks it. Two workers that look at the same moment may both see a PASSporT as new; two that
write one slot at the same moment may leave a mixture of both there, which its checksum gives away:
it counts as empty. So a replay may go unseen, but no call is ever taken for one that it is not.

Calls are compared within one scope, that of a tenant: a call that passes the SBCs of two tenants
of one service is asked about by both, each by a name of its own, and is no replay for either.
"""

import mmap
import struct
from hashlib import blake2b
from zlib import crc32

SLOTS = 1 << 18
"""PASSporTs remembered: those of one minute at four thousand calls a second."""

WAYS = 8
"""Slots in which one PASSporT may stand."""

_FACTS = struct.Struct("<16s8sI")
_CHECK = struct.Struct("<I")
SLOT_BYTES = _FACTS.size + _CHECK.size
_BUCKET_BYTES = WAYS * SLOT_BYTES
_UNTILS = struct.Struct("<" + "24xI4x" * WAYS)

_LAST = 2**32 - 1
"""The latest moment a slot can name, in the year 2106."""


def shared_memory() -> mmap.mmap:
    """Return memory for `ReplayMemory` that processes forked from this one share."""
    return mmap.mmap(-1, SLOTS * SLOT_BYTES)


class ReplayMemory:
    """Remembers PASSporTs for as long as they are fresh."""

    def __init__(self, memory: mmap.mmap | bytearray) -> None:
        """Take memory of zeros, or what another process already remembers in it."""
        self._memory = memory
        self._buckets = len(memory) // (SLOT_BYTES * WAYS)

    def seen(self, token: str, call: str, *, now: int, until: int, scope: str = "") -> bool:
        """Remember a PASSporT of a call until a time; say whether another call had it before.

        `call` names the call within `scope`; the same one may ask again. Times are Unix seconds.
        """
        known_as = scope.encode("utf-8", "surrogatepass") + b"\0" + token.encode("ascii", "replace")
        passport = blake2b(known_as, digest_size=16).digest()
        this = blake2b(call.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        first = int.from_bytes(passport[:8], "little") % self._buckets * _BUCKET_BYTES
        # All is read at once, and checked as it was read.
        bucket = bytes(self._memory[first : first + _BUCKET_BYTES])
        place = bucket.find(passport)
        while place >= 0:
            known_call = _call_in(bucket[place : place + SLOT_BYTES], now=now)
            if known_call is not None and place % SLOT_BYTES == 0:
                return known_call != this
            place = bucket.find(passport, place + 1)
        untils = _UNTILS.unpack(bucket)
        oldest = first + untils.index(min(untils)) * SLOT_BYTES
        facts = _FACTS.pack(passport, this, min(max(until, 0), _LAST))
        self._memory[oldest : oldest + SLOT_BYTES] = facts + _CHECK.pack(crc32(facts))
        return False


def _call_in(slot: bytes, *, now: int) -> bytes | None:
    """Return the call in a slot; None: it is a mixture, or its PASSporT is no longer believed."""
    facts = slot[: _FACTS.size]
    if slot[_FACTS.size :] != _CHECK.pack(crc32(facts)):
        return None
    _, call, until = _FACTS.unpack(facts)
    return bytes(call) if until >= now else None
