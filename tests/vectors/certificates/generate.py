"""Makes the corpus: `python -m tests.vectors.certificates.generate` writes all files anew.

The files are committed: keys are random, so each run makes other ones. `index.json` says for each
file what the service must answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from tests.vectors.certificates import contents, keys, texts
from tests.vectors.certificates.case import (
    ROOT,
    TENANT,
    Case,
)
from tests.vectors.certificates.making import (
    pem,
)

FOLDER = Path(__file__).parent


def cases() -> Iterator[Case]:
    """Make all cases."""
    yield from texts.ways_to_paste()
    yield from texts.what_is_damaged()
    yield from texts.other_labels()
    yield from keys.kinds_of_keys()
    yield from keys.encrypted_keys()
    yield from keys.pkcs12_files()
    yield from contents.chains()
    yield from contents.names()
    yield from contents.times_and_numbers()
    yield from contents.rules()


def main() -> None:
    """Write the files and their index."""
    for old in FOLDER.glob("files/*"):
        old.unlink()
    (FOLDER / "files").mkdir(exist_ok=True)
    entries, public = [], []
    for case in cases():
        ending = "p12" if isinstance(case.content, bytes) else "pem"
        file = f"files/{case.name}.{ending}"
        content = case.content if isinstance(case.content, bytes) else case.content.encode()
        (FOLDER / file).write_bytes(content)
        if case.name == "public-key":
            leaf = x509.load_pem_x509_certificates(content)[0].public_key()
            spki = leaf.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            public.append(sha256(spki).hexdigest())
        entry: dict[str, object] = {"file": file, "kind": case.kind, "now": case.now.isoformat()}
        if case.passphrase is not None:
            entry["passphrase"] = case.passphrase
        if case.slug is None:
            entry.update(verdict="accepted", warnings=sorted(case.warnings))
            if case.names is not None:
                entry["names"] = case.names
        else:
            entry.update(verdict="refused", slug=case.slug, field=case.field)
        if case.says:
            entry["says"] = case.says
        entries.append(entry)
    index = {
        "tenant": TENANT,
        "root": pem(ROOT.certificate),
        "public_keys": public,
        "files": entries,
    }
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
