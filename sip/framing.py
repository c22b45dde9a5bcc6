"""SIP messages out of a stream of bytes (RFC 3261 §18.3, RFC 5626 §3.5.1).

Bytes in, whole messages and keep-alives out: no socket. Limits are looked at before memory is
spent: a header section or body that would be too long ends the stream at once.
"""

import re
from dataclasses import dataclass
from enum import Enum

from sip.parsing import MAX_MESSAGE_LENGTH

MAX_HEAD_LENGTH = 32 * 1024
"""Longest header section, in bytes: with several Identity header fields it takes ten thousand."""

_END = b"\r\n\r\n"
_LINE_END = b"\r\n"

# Content-Length = ( "Content-Length" / "l" ) HCOLON 1*DIGIT
_CONTENT_LENGTH = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*+:([^\r]*+(?:\r\n[ \t][^\r]*+)*)", re.IGNORECASE
)
_LENGTH = re.compile(rb"[0-9]{1,10}")


class KeepAlive(Enum):
    """What keeps a connection open."""

    PING = "ping"
    """Two line ends: the sender waits for one in return (RFC 5626 §3.5.1)."""


PONG = _LINE_END
"""The answer to a ping."""


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message, for `sip.parsing.parse`."""

    data: bytes


class FramingError(Exception):
    """Where the next message begins cannot be said: the stream is at its end.

    `head` is the header section as far as it is there, `status` what an answer would say; the text
    is a short sentence that repeats nothing of the stream.
    """

    def __init__(self, sentence: str, *, status: int, head: bytes) -> None:
        super().__init__(sentence)
        self.status = status
        self.head = head


class Framer:
    """Cuts one stream. Limits are in bytes."""

    def __init__(
        self, *, max_head: int = MAX_HEAD_LENGTH, max_message: int = MAX_MESSAGE_LENGTH
    ) -> None:
        self._max_head = max_head
        self._max_message = max_message
        self._buffer = bytearray()
        self._searched = 0  # so many bytes hold no end of a header section
        self._wanted = 0  # length of the message whose header section is there

    @property
    def is_waiting(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer) and not _END.startswith(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take what came."""
        self._buffer += data

    def next_event(self) -> Message | KeepAlive | None:
        """Return what is whole, one by one; None when more is needed.

        Raises FramingError, after which there is nothing more.
        """
        buffer = self._buffer
        if not self._wanted:
            while buffer.startswith(_LINE_END):
                if buffer.startswith(_END):
                    del buffer[: len(_END)]
                    return KeepAlive.PING
                if _END.startswith(buffer):
                    return None
                del buffer[: len(_LINE_END)]
            self._wanted = self._find_length()
        if not self._wanted or len(buffer) < self._wanted:
            return None
        message = Message(bytes(buffer[: self._wanted]))
        del buffer[: self._wanted]
        self._wanted = self._searched = 0
        return message

    def _find_length(self) -> int:
        """Find how long the message is that begins the buffer; 0 when its head is not there."""
        buffer = self._buffer
        end = buffer.find(_END, self._searched)
        if end < 0:
            if len(buffer) > self._max_head:
                raise self._error("The header section is too long", 513, len(buffer))
            self._searched = max(0, len(buffer) - len(_END) + 1)
            return 0
        end += len(_END)
        if end > self._max_head:
            raise self._error("The header section is too long", 513, end)
        lengths = _CONTENT_LENGTH.findall(buffer, 0, end - len(_LINE_END))
        if len(lengths) != 1:
            raise self._error("There is not one Content-Length header field", 400, end)
        length = _LENGTH.fullmatch(lengths[0].strip(b" \t\r\n"))
        if length is None:
            raise self._error("The Content-Length header field is no number", 400, end)
        wanted = end + int(length[0])
        if wanted > self._max_message:
            raise self._error("Message Too Large", 513, end)
        return wanted

    def _error(self, sentence: str, status: int, end: int) -> FramingError:
        head = bytes(self._buffer[: min(end, self._max_head)])
        self._buffer.clear()
        self._searched = 0
        return FramingError(sentence, status=status, head=head)
