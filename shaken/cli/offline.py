"""Offline tools for a person debugging: `sign`, `inspect`, `lab-ca`; `verify` stands by itself."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import click
from cryptography.hazmat.primitives.asymmetric import ec

from shaken.addresses import check_x5u
from shaken.attestation import Attest
from shaken.explain import NotExplained, explain
from shaken.passport import Parties, Party, ShakenClaims, header_segment
from shaken.passport import sign as sign_passport
from shaken.whole_files import write_new
from sip.identity import Identity
from sip.number import NumberError, canonical_number
from trust.authority import Authority
from trust.certificate import CertificateRefused
from trust.chain import Assembled, assemble
from trust.pem import PemContents, read_pem
from trust.profiles import check_sti
from trust.tnauthlist import TnAuthListError

READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Number(click.ParamType[str]):
    """A telephone number, made canonical."""

    name = "TN"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it, or end with what is wrong."""
        try:
            return canonical_number(value, country=None)
        except NumberError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--orig", type=Number(), required=True, help="The calling number.")
@click.option("--dest", type=Number(), required=True, multiple=True, help="The called number.")
@click.option("--attest", type=click.Choice(["A", "B", "C"]), default="A", show_default=True)
@click.option("--origid", type=click.UUID, help="Left out: a new UUID.")
@click.option("--iat", type=int, help="Unix seconds; left out: now.")
@click.option("--certificate", type=READABLE, required=True, help="PEM: leaf, intermediates.")
@click.option("--key", type=READABLE, help="PEM; left out: it is in the certificate's file.")
@click.option("--passphrase", help="Opens an encrypted key.", envvar="SHAKEN_PASSPHRASE")
@click.option("--x5u", required=True, help="The https URL where verifiers find the certificate.")
def sign(
    orig: str,
    dest: tuple[str, ...],
    attest: str,
    origid: object,
    iat: int | None,
    certificate: Path,
    key: Path | None,
    passphrase: str | None,
    x5u: str,
) -> None:
    """Sign one call with a certificate and key at hand, and print the Identity header's value."""
    files = [file for file in (certificate, key) if file is not None]
    together = assembled(*(pem_of(file, passphrase) for file in files))
    private_key = together.private_key
    try:
        check_sti(together.certificate, now=datetime.now(UTC))
        check_x5u(x5u, lab=True)
    except (CertificateRefused, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if not isinstance(private_key, ec.EllipticCurvePrivateKey):
        raise click.ClickException("the private key is missing; give it with --key")
    claims = ShakenClaims(
        attest=Attest(attest).value,
        dest=Parties(tn=dest),
        iat=int(datetime.now(UTC).timestamp()) if iat is None else iat,
        orig=Party(tn=orig),
        origid=str(origid or uuid4()),
    )
    token = sign_passport(header_segment(x5u=x5u, ppt="shaken"), claims, private_key)
    click.echo(str(Identity(token=token, info=x5u, alg="ES256", ppt="shaken")))


@click.command()
@click.argument("identity_or_pem")
def inspect(identity_or_pem: str) -> None:
    """Explain an Identity header, a PASSporT or a certificate in words.

    The argument is the text itself, the name of a file that holds it, or `-` for standard input.
    """
    try:
        for line in explain(text_of(identity_or_pem), now=datetime.now(UTC)):
            click.echo(line)
    except NotExplained as error:
        raise click.ClickException(str(error)) from error


@click.command(name="lab-ca")
@click.option("--spc", help="Service provider code of the STI certificate, as in 1234.")
@click.option("--tn", type=Number(), multiple=True, help="A number it speaks for; repeatable.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("lab"),
    show_default=True,
    help="Folder for the files; made if missing.",
)
def lab_ca(spc: str | None, tn: tuple[str, ...], out: Path) -> None:
    """Make a root, an intermediate and an STI certificate for a lab.

    Nobody outside your lab trusts them. Files that exist are not overwritten.
    """
    if not spc and not tn:
        raise click.UsageError("give a provider code with --spc, or numbers with --tn")
    now = datetime.now(UTC)
    root = Authority.create("Lab STI Root", now=now)
    intermediate = root.intermediate("Lab STI Intermediate", now=now)
    try:
        issued = intermediate.issue_sti(spc=spc, numbers=tn, now=now)
    except TnAuthListError as error:
        raise click.UsageError(str(error)) from error
    files = {
        "root.pem": root.certificate_pem,
        "root.key": root.key_pem,
        "intermediate.pem": intermediate.certificate_pem,
        "intermediate.key": intermediate.key_pem,
        "sti.pem": issued.chain_pem,
        "sti.key": issued.key_pem,
    }
    _write_new_files(out, files)
    click.echo(f"{out}/root.pem  the root that verifiers in your lab trust")
    click.echo(f"{out}/sti.pem   STI certificate with its chain: {issued.certificate.subject}")
    click.echo(f"{out}/sti.key   its private key")
    click.echo(f"shaken certificates import --kind sti {out}/sti.pem --key {out}/sti.key")


def _write_new_files(folder: Path, files: dict[str, str]) -> None:
    written: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = [name for name in files if (folder / name).exists()]
        if taken:
            raise click.ClickException(
                f"{folder / taken[0]} exists; choose another folder with --out"
            )
        for name, text in files.items():
            mode = 0o600 if name.endswith(".key") else 0o644
            write_new(folder / name, text.encode("ascii"), mode=mode)
            written.append(folder / name)
    except OSError as error:
        # A lab with half of its files is none, and would be in the way of the next attempt.
        for file in written:
            file.unlink(missing_ok=True)
        raise click.ClickException(f"cannot write to {folder}: {error.strerror}") from error


def text_of(argument: str) -> str:
    """Read an argument that is a text, a file's name, or `-`."""
    if argument == "-":
        return sys.stdin.read()
    if len(argument) < 1024 and "\n" not in argument and "\0" not in argument:
        file = Path(argument)
        try:
            found = file.is_file()
        except OSError:  # a header is longer than a file's name can be
            found = False
        if found:
            return read_file(file)
    return argument


def read_file(file: Path) -> str:
    """Read a text file, or end with why not."""
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError as error:
        raise click.ClickException(f"cannot read {file}: {error.strerror}") from error


def pem_of(file: Path, passphrase: str | None) -> PemContents:
    """Read the PEM blocks of a file, or end with why not."""
    try:
        return read_pem(read_file(file), passphrase=passphrase)
    except CertificateRefused as error:
        raise click.ClickException(f"{file}: {error.detail}") from error


def assembled(*contents: PemContents) -> Assembled:
    """Make one chain of the contents of files, or end with why not."""
    try:
        return assemble(*contents, now=datetime.now(UTC))
    except CertificateRefused as error:
        raise click.ClickException(error.detail) from error
