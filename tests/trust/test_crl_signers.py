"""Who may sign a revocation list, of those that nobody has validated."""

from datetime import UTC, datetime

import pytest

from tests.lab_crl import issue_indirect_crl
from trust.authority import Authority
from trust.crl import CrlIndex
from trust.crl_signers import MAX_SIGNERS, find_signers
from trust.tnauthlist import TnAuthList

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Authority.create("Lab root", now=NOW)
STI_CA = ROOT.intermediate("Lab STI-CA", now=NOW)
PA_ROOT = Authority.create("STI-PA root", now=NOW)
PA_MIDDLE = PA_ROOT.intermediate("STI-PA authority", now=NOW)
PA_SIGNER = PA_MIDDLE.intermediate("STI-PA CRL", now=NOW)


@pytest.mark.parametrize(
    ("known", "roots", "found"),
    [
        ([PA_SIGNER, PA_MIDDLE], [ROOT, PA_ROOT], True),
        ([PA_SIGNER], [ROOT, PA_MIDDLE], True),
        ([PA_SIGNER], [ROOT, PA_ROOT], False),
        ([PA_SIGNER, PA_MIDDLE], [ROOT], False),
        ([PA_MIDDLE, STI_CA], [ROOT, PA_ROOT], False),
    ],
    ids=["below a root", "right below", "something between missing", "no root", "another name"],
)
def test_who_leads_to_a_root_may_sign_the_list_of_its_name(
    known: list[Authority], roots: list[Authority], *, found: bool
) -> None:
    index = CrlIndex.read(issue_indirect_crl(PA_SIGNER, [], now=NOW))

    signers = find_signers(
        index,
        [each.certificate for each in known],
        roots=[each.certificate for each in roots],
        at=NOW,
    )

    assert signers == ((PA_SIGNER.certificate,) if found else ())


def test_who_holds_numbers_signs_no_list_of_others() -> None:
    """It may make a certificate of any name (RFC 9060 §4), that of the STI-PA as well."""
    delegate = STI_CA.intermediate("Customer", tn_auth_list=TnAuthList.of(spcs=["1"]), now=NOW)
    pretender = delegate.intermediate("Lab STI-PA", now=NOW)
    index = CrlIndex.read(issue_indirect_crl(pretender, [], now=NOW))
    known = [each.certificate for each in (pretender, delegate, STI_CA)]

    assert find_signers(index, known, roots=[ROOT.certificate], at=NOW) == ()


def test_only_so_many_signers_are_tried() -> None:
    index = CrlIndex.read(issue_indirect_crl(PA_SIGNER, [], now=NOW))
    alike = [PA_ROOT.intermediate("STI-PA CRL", now=NOW) for _ in range(MAX_SIGNERS + 1)]

    found = find_signers(
        index, [each.certificate for each in alike], roots=[PA_ROOT.certificate], at=NOW
    )

    assert found == tuple(each.certificate for each in alike[:MAX_SIGNERS])
