"""The routes of the API: a new resource is added here."""

from collections.abc import Sequence

from shaken.api import (
    acme,
    acme_account,
    audit,
    calls,
    certificates,
    challenges,
    credentials,
    health,
    listeners,
    repository,
    requests,
    roots,
    tenants,
    trunks,
)
from shaken.api.routes import Route

TABLE: Sequence[Route] = (
    *certificates.ROUTES,
    *repository.ROUTES,
    *requests.ROUTES,
    *acme.ROUTES,
    *acme_account.ROUTES,
    *tenants.ROUTES,
    *trunks.ROUTES,
    *credentials.ROUTES,
    *roots.ROUTES,
    *listeners.ROUTES,
    *audit.ROUTES,
    *calls.ROUTES,
    *challenges.ROUTES,
    *health.ROUTES,
)
"""What is served and described, but for calls: those have a way of their own."""
