"""Numbers on record as hashes: who reads the database alone learns no number from it.

There are few telephone numbers, so that a plain hash would hide none: it is HMAC-SHA-256 under a
key of the store's own (`trust.store.service_keys`), which stays when the master key changes.
"""

import hmac
import re
from dataclasses import dataclass, field

from shaken.store.calls import CallRecord, destinations_of, destinations_text

ANONYMOUS = "anonymous"
"""What stands for the caller of a call that names none."""

KEY_NAME = "call-numbers"
"""Of the key in the store."""

_PREFIX = "hmac:"

_HASH_BYTES = 16
"""Of the digest (RFC 2104 §5): no two of 10**15 numbers share a hash by chance."""

_HASHED = re.compile(rf"{_PREFIX}[0-9a-f]{{{2 * _HASH_BYTES}}}")

# Numbers and addresses in the words of a verdict; a URL of https is none of these.
_PARTY_IN_WORDS = re.compile(
    r"(?<!\w)(?:sips?:|tel:)[^\s,>'\"}\]]+"
    r"|(?<![\w./%-])(?!\d{4}-\d\d-\d\d)\+?[0-9*#](?:[().\- ]?[0-9*#]){4,}(?![\w/%])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class NumberHash:
    """Hashes numbers and addresses under a key."""

    key: bytes = field(repr=False)

    def hashed(self, text: str) -> str:
        """Return the hash of a canonical number or URI, in the spelling of records."""
        return _PREFIX + hmac.digest(self.key, text.encode(), "sha256")[:_HASH_BYTES].hex()

    def conceal(self, call: CallRecord) -> CallRecord:
        """Return a record whose numbers and addresses are hashed, also those in its reason."""
        called = [self.hashed(each) for each in destinations_of(call.dest)]
        return call._replace(
            orig=call.orig if call.orig == ANONYMOUS else self.hashed(call.orig),
            dest=destinations_text(called),
            reason=call.reason and _PARTY_IN_WORDS.sub(self._in_words, call.reason),
        )

    def _in_words(self, found: re.Match[str]) -> str:
        return self.hashed(found[0])


def is_hashed(text: str) -> bool:
    """Say whether a text is a hash as records hold it."""
    return _HASHED.fullmatch(text) is not None
