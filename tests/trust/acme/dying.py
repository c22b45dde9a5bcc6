"""A worker that kills itself: after so many commits, or after so many answers from the network.

Run as `python -m tests.trust.acme.dying FOLDER PEBBLE WHAT NUMBER`; it ends with 0 when it got to
the end of its work first.
"""

import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from sqlalchemy import Connection

from tests.trust.acme.bench import open_bench
from tests.trust.acme.pebble import Pebble, Responder
from trust.store.database import Database


def main(folder: str, pebble: str, what: str, number: str) -> None:
    bench = open_bench(Path(folder), Pebble(**json.loads(pebble), responder=Responder(0)))
    die_after(what, int(number))
    bench.run()


def die_after(what: str, number: int) -> None:
    counted = itertools.count(1)

    def count() -> None:
        if next(counted) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    recording, send = Database.recording, requests.Session.send

    @contextmanager
    def recording_then(self: Database) -> Iterator[Connection]:
        with recording(self) as connection:
            yield connection
        count()

    def send_then(*args: object, **kwargs: object) -> requests.Response:
        answer = send(*args, **kwargs)  # type: ignore[arg-type]
        count()
        return answer

    if what == "commit":
        Database.recording = recording_then  # type: ignore[method-assign]
    else:
        requests.Session.send = send_then  # type: ignore[method-assign]


if __name__ == "__main__":
    main(*sys.argv[1:])
