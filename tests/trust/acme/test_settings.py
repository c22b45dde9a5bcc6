"""Settings of ACME: what can be meant, which challenge proves a name, what is sealed at rest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from trust.acme.challenges import ChallengeType
from trust.acme.settings import AcmeSettings, Binding, SettingsError, directory_url
from trust.keyring import KeyRing
from trust.keys import MASTER_KEY_BYTES, MasterKey
from trust.request import KeyType
from trust.store import acme_accounts, acme_settings, master_key, rotation
from trust.store.acme_accounts import AccountState, StoredAccount
from trust.store.database import HISTORY, Database
from trust.store.rotation import check_done, reseal

OLD, NEW = (MasterKey(bytes([number]) * MASTER_KEY_BYTES) for number in (1, 2))
URL = "https://acme.example.com/directory"
FULL = AcmeSettings(
    directory_url=URL,
    contact=("noc@example.com",),
    terms_agreed=True,
    binding=Binding("kid-1", "c2VjcmV0LW1hYy1rZXk"),
    key_type=KeyType.P384,
    preferred_chain="ISRG Root X1",
    profile="shortlived",
    key_reuse=True,
    self_check=False,
    dns_names=("*",),
    dns={"provider": "example", "options": {"auth_token": "a-dns-token"}},
)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A store that is bound to the old key."""
    monkeypatch.setattr(rotation, "PAUSE_SECONDS", 0)
    opened = Database(f"sqlite:///{tmp_path}/store.sqlite")
    opened.migrate([HISTORY])
    with opened.changing() as change:
        master_key.bind(change, OLD)
    yield opened
    opened.close()


def loaded(database: Database, keys: MasterKey | KeyRing) -> AcmeSettings | None:
    with database.reading() as connection:
        return acme_settings.load(connection, keys)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
        ("LetsEncrypt-Staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
        (f" {URL} ", URL),
        ("https://ca.internal:14000/dir", "https://ca.internal:14000/dir"),
    ],
)
def test_an_authority_is_given_by_name_or_url(text: str, url: str) -> None:
    assert directory_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "zerossl",
        "http://ca.example",
        "https://",
        "https://u:p@ca.example/",
        "https://[x/",
        "ftp://x",
    ],
)
def test_what_is_no_authority_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="name an authority") as refused:
        directory_url(text)
    assert refused.value.field == "directory_url"


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("contact", {"contact": ("mailto:noc@example.com",) * 11}),
        ("contact", {"contact": ("noc",)}),
        ("contact", {"contact": ("a@example.com,b@example.com",)}),
        ("contact", {"contact": ("a@example.com?subject=x",)}),
        ("eab_kid", {"binding": Binding("", "c2VjcmV0")}),
        ("eab_hmac_key", {"binding": Binding("kid", "not base64!")}),
        ("eab_hmac_key", {"binding": Binding("kid", "")}),
        ("key_type", {"key_type": KeyType.RSA_3072}),
        ("preferred_chain", {"preferred_chain": ""}),
        ("profile", {"profile": "a\nb"}),
        ("dns_names", {"dns_names": ("a_b c",)}),
        ("dns_names", {"dns_names": ("PBX.example.com",)}),
        ("dns_names", {"dns_names": ("example.com",) * 1001}),
    ],
)
def test_what_cannot_be_meant_is_refused(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        AcmeSettings(URL, **changes)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ((), "pbx.example.com", ChallengeType.HTTP),
        ((), "*.example.com", ChallengeType.DNS),
        (("*",), "pbx.example.com", ChallengeType.DNS),
        (("pbx.example.com",), "pbx.example.com", ChallengeType.DNS),
        (("pbx.example.com",), "sip.pbx.example.com", ChallengeType.HTTP),
        (("*.example.com",), "a.pbx.example.com", ChallengeType.DNS),
        (("*.example.com",), "example.com", ChallengeType.HTTP),
        (("*.example.com",), "badexample.com", ChallengeType.HTTP),
    ],
)
def test_a_name_is_proven_as_the_patterns_say(
    patterns: tuple[str, ...], name: str, expected: ChallengeType
) -> None:
    assert AcmeSettings(URL, dns_names=patterns).challenge_for(name) is expected


def test_what_is_written_is_read_again(database: Database) -> None:
    assert loaded(database, OLD) is None
    for settings in (AcmeSettings(URL), FULL):
        with database.changing() as change:
            acme_settings.save(change, OLD, settings)
        assert loaded(database, OLD) == settings


def test_secrets_are_in_no_repr_and_not_in_the_database(database: Database, tmp_path: Path) -> None:
    with database.changing() as change:
        acme_settings.save(change, OLD, FULL)
    database.settle()

    for text in (repr(FULL), (tmp_path / "store.sqlite").read_bytes().decode("latin-1")):
        assert "a-dns-token" not in text
        assert "c2VjcmV0LW1hYy1rZXk" not in text


def test_secrets_are_sealed_anew_under_another_master_key(database: Database) -> None:
    keys = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    account = StoredAccount(URL, AccountState.VALID, 0, *keys, f"{URL}/1")
    with database.changing() as change:
        acme_settings.save(change, OLD, FULL)
        acme_accounts.save(change, OLD, account)

    reseal(database, KeyRing(lambda: [NEW, OLD]), tell=lambda *_: None)

    check_done(database, NEW)
    assert loaded(database, NEW) == FULL
    with database.reading() as connection:
        kept = acme_accounts.get(connection, NEW, URL)
    assert kept is not None
    assert kept.next_key is not None
    assert (kept.key.public_key(), kept.next_key.public_key()) == tuple(
        key.public_key() for key in keys
    )
