"""Brings files in line with what the service offers, and has the listener read them.

Whatever fails, the listener keeps a chain with its key: files that cannot all be written, or that
the check refuses, are put back as they were. What the listener still has to read is marked beside
the files, so that a reload that failed is made up for by the next run, also after a kill.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shaken.deploy import files
from shaken.deploy.command import Command, CommandFailed
from shaken.deploy.files import Access, FilesError, Place, State
from shaken.deploy.offer import Offer, doubts


class DeployError(Exception):
    """Something is not as it should be, and is to be tried again; the message is one line."""


@dataclass(frozen=True)
class Target:
    """A server name, and where its chain and key are kept."""

    name: str
    place: Place


@dataclass(frozen=True)
class Agent:
    """Keeps the files of its targets.

    `check` and `reload` run with `environment`; `say` takes one line for a person for each thing
    that happens.
    """

    targets: Sequence[Target]
    check: Command | None
    reload: Command | None
    environment: Mapping[str, str]
    say: Callable[[str], None]

    def deploy(self, offers: Mapping[Target, Offer]) -> Sequence[Target]:
        """Write what differs, check it, reload where that is due; return whose files changed.

        Raises DeployError; the files are then as they were, or new and waiting for a reload.
        """
        try:
            with files.held(tuple(target.place for target in self.targets)):
                for target in offers:
                    files.tidy(target.place)
                found = {target: files.read(target.place) for target in offers}
                kept = [
                    target for target in offers if _serves_better(found[target], target, offers)
                ]
                changed = [
                    target
                    for target, offer in offers.items()
                    if target not in kept
                    and not files.is_current(target.place, found[target], offer)
                ]
                self._replace(changed, offers, found)
                for target in changed:
                    written = " and ".join(map(str, target.place.names))
                    self.say(f"{target.name}: wrote {written}: {offers[target].described()}")
                self._reload()
                if kept:
                    names = ", ".join(target.name for target in kept)
                    raise DeployError(f"{names}: kept what is there, which clients still accept")
                return changed
        except (FilesError, CommandFailed) as error:
            raise DeployError(str(error)) from error

    def warn(self, offers: Mapping[Target, Offer]) -> None:
        """Say why clients will not accept what is offered, where that is so."""
        for target, offer in offers.items():
            for doubt in doubts(offer.certificate, target.name, now=datetime.now(UTC)):
                self.say(f"{target.name}: warning: {doubt}")

    def _replace(
        self,
        changed: Sequence[Target],
        offers: Mapping[Target, Offer],
        found: Mapping[Target, State],
    ) -> None:
        marked = [
            target
            for target in changed
            if self.reload is not None and not files.is_marked(target.place)
        ]
        begun: list[Target] = []
        try:
            for target in marked:
                files.mark(target.place)
            for target in changed:
                begun.append(target)
                place = target.place
                access = files.access_wanted(place, found[target])
                files.write(place, files.wanted(place, offers[target]), access)
            if self.check is not None and (changed or self._waiting()):
                self.check.run(self.environment)
        except (FilesError, CommandFailed) as error:
            kept = self._put_back(begun, found)
            for target in marked:
                files.unmark(target.place)
            raise DeployError(f"{error} ({kept})") from error

    @staticmethod
    def _put_back(begun: Sequence[Target], found: Mapping[Target, State]) -> str:
        """Write what was there before; say so in words. Raises FilesError."""
        failed: list[FilesError] = []
        for target in begun:
            access = found[target].access or Access(files.NEW_MODE)
            try:
                files.write(target.place, found[target].contents, access)
            except FilesError as error:
                failed.append(error)
        if failed:
            raise FilesError(f"{failed[0]}, while putting back what was there")
        return "the old files are in place" if begun else "nothing was changed"

    def _waiting(self) -> list[Target]:
        """List whose files the listener still has to read."""
        return [target for target in self.targets if files.is_marked(target.place)]

    def _reload(self) -> None:
        waiting = self._waiting()
        if self.reload is None or not waiting:
            return
        try:
            self.reload.run(self.environment)
        except CommandFailed as error:
            raise DeployError(f"{error} (the files are new; the reload is still due)") from error
        for target in waiting:
            files.unmark(target.place)
        self.say(f"reloaded: {self.reload}")


def _serves_better(found: State, target: Target, offers: Mapping[Target, Offer]) -> bool:
    """Whether clients accept what is there, and will not accept what is offered in its place.

    A service that lost a certificate falls back to another; its listeners need not.
    """
    now = datetime.now(UTC)
    if not doubts(offers[target].certificate, target.name, now=now):
        return False
    there = files.certificate(target.place, found)
    return there is not None and not doubts(there, target.name, now=now)
