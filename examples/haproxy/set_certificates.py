#!/usr/bin/env python3
"""Give a running HAProxy (2.2 or newer) the certificates of a folder, without a reload.

    set_certificates.py /run/haproxy/admin.sock /etc/haproxy/certs

The folder is that of `bind … crt`, the socket a `stats socket` of level admin. Each certificate is
replaced in HAProxy's memory by what its file holds: no process is started, no connection touched.
Where HAProxy does not run there is nothing to do: it reads the files when it starts.
"""

import socket
import sys
from pathlib import Path

SECONDS = 20
"""How long HAProxy may take to answer."""


def tell(path: str, command: str) -> str:
    """Send one command and return the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        connection.sendall(f"{command}\n".encode())
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode("utf-8", "replace")


def set_certificate(path: str, file: Path) -> None:
    """Replace one certificate by what its file holds; exit when HAProxy refuses."""
    # An empty line would end what is sent.
    pem = "\n".join(line for line in file.read_text().splitlines() if line.strip())
    said = tell(path, f"set ssl cert {file} <<\n{pem}\n")
    if "Transaction" in said:
        said = tell(path, f"commit ssl cert {file}")
        if "Success" in said:
            return
        tell(path, f"abort ssl cert {file}")
    sys.exit(f"HAProxy did not take {file}: {' '.join(said.split())}")


def main() -> None:
    """Set each certificate of the folder."""
    path, folder = sys.argv[1:]
    try:
        for file in sorted(Path(folder).absolute().glob("[!.]*.pem")):
            set_certificate(path, file)
    except (FileNotFoundError, ConnectionRefusedError):
        print("HAProxy does not run; it reads the files when it starts")


if __name__ == "__main__":
    main()
