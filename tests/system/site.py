"""A PBX, a carrier, and a Kamailio between them with settings of examples/kamailio."""

from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from tests.system.listener import example
from tests.system.telephony import Called, Party

ORIG = "+12155550100"
"""A number of the demo's tenant."""

PBX_HOST, CARRIER_HOST = "127.0.0.2", "127.0.0.3"


@dataclass(frozen=True)
class Site:
    """A PBX, a carrier, and Kamailio between them."""

    folder: Path
    pbx: Party
    carrier: Party
    port: int
    """Kamailio's, on 127.0.0.1."""

    @classmethod
    def in_(cls, folder: Path) -> "Site":
        """Take free ports; settings and logs go into a new folder."""
        folder.mkdir()
        pbx = Party.at(PBX_HOST, "pbx", folder)
        carrier = Party.at(CARRIER_HOST, "carrier", folder)
        return cls(folder, pbx, carrier, free_port("127.0.0.1"))

    @property
    def places(self) -> dict[str, object]:
        """What stands in the examples, and what in its place here."""
        return {
            "192.0.2.1:5060": f"127.0.0.1:{self.port}",
            "192.0.2.10:5060": f"{self.pbx.host}:{self.pbx.port}",
            "192.0.2.10": self.pbx.host,
            "198.51.100.20:5060": f"{self.carrier.host}:{self.carrier.port}",
            "198.51.100.20": self.carrier.host,
        }

    def writes(self, name: str, **places: str) -> Path:
        """Put an example into the folder, with more places replaced."""
        file = self.folder / name
        file.write_text(example(f"kamailio/{name}", places={**self.places, **places}))
        return file

    def calls_out(self, rows: list[str], *, rate: int) -> list[Called]:
        """Have the PBX call; tell what came to the carrier."""
        with self.carrier.answering() as answers:
            self.pbx.call(self.port, rows, rate=rate)
            return answers.all()

    def calls_in(self, rows: list[str], *, rate: int) -> list[Called]:
        """Have the carrier call; tell what came to the PBX."""
        with self.pbx.answering() as answers:
            self.carrier.call(self.port, rows, rate=rate)
            return answers.all()
