"""An independent look at an Identity header: another JOSE library, and the published chain."""

import json
import re
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey

from tests.system.caller import Caller

_MEMBERS = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)


def verified_claims(service: Caller, identity: str) -> dict[str, Any]:
    """Verify the signature with the certificate that the service publishes; return the claims."""
    token, _, parameters = identity.partition(";")
    info = re.search(r"info=<(?P<url>[^>]+)>", parameters)
    assert info is not None, identity
    answer = service.get("/certificates/" + info["url"].rpartition("/")[2])
    assert answer.status == 200, answer
    public = x509.load_pem_x509_certificates(answer.body)[0].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    decoded = jws.deserialize_compact(token, ECKey.import_key(pem), registry=_MEMBERS)
    assert decoded.headers()["x5u"] == info["url"]
    claims: dict[str, Any] = json.loads(decoded.payload or b"")
    return claims
