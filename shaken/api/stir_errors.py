"""The error answers of the STIR routes (ATIS-1000082 §7.3, 3GPP TS 24.229 Annex V), in one table.

A body holds the ATIS `requestError`, beside it the 3GPP `error` and `detail`, a sentence that says
what to do: clients that know one form ignore the others.
"""

from dataclasses import dataclass
from enum import Enum

import msgspec


@dataclass(frozen=True)
class _Row:
    status: int
    code: str
    text: str
    error: str


class StirFault(Enum):
    """What can be wrong with a request to a STIR route: HTTP status, messageId, texts."""

    NO_BODY = _Row(400, "SVC4000", "Error: Missing request body.", "Missing Request Body")
    MISSING = _Row(
        400, "SVC4001", "Error: Missing mandatory parameter '%1'.", "Missing Mandatory Parameter"
    )
    NOT_ACCEPTABLE = _Row(
        406,
        "SVC4002",
        "Error: Requested response body type '%1' is not supported.",
        "Not Acceptable",
    )
    NOT_FOUND = _Row(
        404, "SVC4003", "Error: Requested resource was not found.", "Resource Not Found"
    )
    MEDIA_TYPE = _Row(
        415,
        "SVC4004",
        "Error: Unsupported request body type, expected '%1'.",
        "Unsupported Media Type",
    )
    INVALID = _Row(
        400,
        "SVC4005",
        "Error: Invalid '%1' parameter value: %2.",
        "Invalid Parameter Value",
    )
    UNPARSABLE = _Row(
        400,
        "SVC4006",
        "Error: Failed to parse received message body: %1.",
        "Message Body Parsing Failure",
    )
    TOO_LARGE = _Row(
        413,
        "SVC4006",
        "Error: Failed to parse received message body: %1.",
        "Message Body Too Large",
    )
    TOO_SLOW = _Row(
        408,
        "SVC4006",
        "Error: Failed to parse received message body: %1.",
        "Request Timeout",
    )
    NO_LENGTH = _Row(
        411,
        "SVC4007",
        "Error: Missing mandatory Content-Length header.",
        "Missing Content-Length",
    )
    METHOD = _Row(405, "POL4050", "Error: Method not allowed.", "Method Not Allowed")
    INTERNAL = _Row(
        500,
        "POL5000",
        "Error: Internal Server Error. Please try again later.",
        "Internal Server Error",
    )
    # Not in the table of ATIS-1000082, which leaves authentication to the operators.
    UNAUTHORIZED = _Row(401, "POL4010", "Error: Authentication required.", "Unauthorized")
    TOO_MANY = _Row(
        429,
        "POL4290",
        "Error: Too many failed authentications, retry in %1 seconds.",
        "Too Many Requests",
    )
    FORBIDDEN = _Row(403, "POL4030", "Error: Not permitted: %1.", "Forbidden")


class StirError(Exception):
    """A request is answered with one of the table's errors."""

    def __init__(self, fault: StirFault, *variables: str, detail: str = "") -> None:
        """Take the values of `%1`, `%2`, and a sentence for the person who reads it."""
        super().__init__(detail or fault.value.text)
        self.fault = fault
        self.variables = tuple(ascii_only(text) for text in variables)
        self.detail = detail

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return self.fault.value.status

    def body(self) -> bytes:
        """Return the JSON body of the answer."""
        row = self.fault.value
        text = row.text
        for number, variable in enumerate(self.variables, start=1):
            text = text.replace(f"%{number}", variable)
        exception = {"messageId": row.code, "text": row.text, "variables": list(self.variables)}
        kind = "policyException" if row.code.startswith("POL") else "serviceException"
        return msgspec.json.encode(
            {
                "requestError": {kind: exception},
                "error": row.error,
                "detail": self.detail or text.removeprefix("Error: "),
            }
        )


def ascii_only(text: str) -> str:
    """Make a client's own words safe to repeat: printable ASCII, bounded."""
    return ascii(text)[1:-1][:200]
