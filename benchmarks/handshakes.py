"""A TLS client: handshakes with full key exchange, one after the other, for names of a file.

`python -m benchmarks.handshakes PORT NAMES SECONDS` takes them at random for some seconds; with 0
seconds each once. It prints how many there were.
"""

import random
import socket
import ssl
import sys
import time
from pathlib import Path


def main(port: int, names: list[str], seconds: float) -> int:
    """Shake hands, and return how often."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if not seconds:
        for name in names:
            shake(context, port, name)
        return len(names)
    done, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        shake(context, port, random.choice(names))
        done += 1
    return done


def shake(context: ssl.SSLContext, port: int, name: str) -> None:
    """Open a connection for a name, and close it."""
    with socket.create_connection(("127.0.0.1", port)) as plain:
        context.wrap_socket(plain, server_hostname=name).close()


if __name__ == "__main__":
    _, where, file, duration = sys.argv
    print(main(int(where), Path(file).read_text().split(), float(duration)))
