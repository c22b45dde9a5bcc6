"""The public repository: the chains of our own STI certificates, where `x5u` URLs name them."""

from shaken.addresses import CHAIN_PATH
from shaken.api.problems import not_found
from shaken.api.routes import ApiCall, Reply, Route, read_id
from trust.certificate import CertificateKind
from trust.store import certificates as stored

CACHE_SECONDS = 3600
"""How long verifiers may keep a chain without asking again."""


def publish(call: ApiCall) -> Reply:
    """Give the chain of an STI certificate to whoever verifies a signature (x5u)."""
    fingerprint = read_id(call.path["fingerprint"], "certificate")
    # The store itself is asked: another worker may have signed with it this very moment.
    with call.resources.database.reading() as connection:
        row = stored.get(connection, fingerprint)
        chain = stored.chain_pem(connection, fingerprint)
    if row is None or row.kind is not CertificateKind.STI or chain is None:
        raise not_found("certificate")
    headers = {
        "Cache-Control": f"public, max-age={CACHE_SECONDS}",
        "X-Content-Type-Options": "nosniff",
    }
    return Reply(chain.encode("ascii"), headers)


ROUTES = (
    Route(
        "GET",
        CHAIN_PATH,
        None,
        publish,
        "The chain that a signature's x5u names",
        media_type="application/pem-certificate-chain",
    ),
)
