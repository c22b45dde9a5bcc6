"""The table of what is fuzzed: `make fuzz` runs it, and each test run replays its corpus.

A new target is a row in one of the tables joined here, with a folder in tests/vectors/fuzz.
"""

from tests.fuzz.api_targets import API_TARGETS
from tests.fuzz.call_targets import CALL_TARGETS
from tests.fuzz.fetch_targets import FETCH_TARGETS
from tests.fuzz.message_targets import MESSAGE_TARGETS
from tests.fuzz.sip_targets import SIP_TARGETS
from tests.fuzz.target import Targets
from tests.fuzz.trust_targets import TRUST_TARGETS

TARGETS: Targets = {
    **SIP_TARGETS,
    **MESSAGE_TARGETS,
    **TRUST_TARGETS,
    **CALL_TARGETS,
    **FETCH_TARGETS,
    **API_TARGETS,
}
