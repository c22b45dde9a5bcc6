"""Parts of DER values (X.690) whose types the codec is not told."""

from cryptography.hazmat import asn1


@asn1.sequence
class _Opaque:
    value: asn1.TLV


@asn1.sequence
class _Octets:
    value: bytes


@asn1.sequence
class _Items:
    value: list[asn1.TLV]


def elements(value: asn1.TLV) -> list[asn1.TLV]:
    """Return the elements of a SEQUENCE, whatever they are. Raises ValueError for anything else."""
    # The codec reads classes only, so the bare SEQUENCE OF is read as a field of one.
    return asn1.decode_der(_Items, asn1.encode_der(_Opaque(value=value))).value


def in_octets(value: asn1.TLV) -> asn1.TLV:
    """Return the DER value that an OCTET STRING holds. Raises ValueError."""
    octets = asn1.decode_der(_Octets, asn1.encode_der(_Opaque(value=value))).value
    return asn1.decode_der(asn1.TLV, octets)
