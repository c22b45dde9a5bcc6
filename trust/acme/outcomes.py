"""How an attempt ends without a certificate."""

from trust.acme.problems import AcmeError


class AttemptOver(AcmeError):  # noqa: N818 - an outcome that ends an attempt
    """An attempt cannot go on, and no certificate comes of it; the next one orders anew."""


class OrderLost(AttemptOver):
    """The authority knows the order no more: a certificate may have come of it."""
