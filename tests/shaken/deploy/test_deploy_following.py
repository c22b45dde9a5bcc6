"""`shaken deploy --watch`, as it follows a service: no failure ends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from shaken.client import Client
from shaken.deploy import following
from shaken.deploy.agent import Agent, Target
from shaken.deploy.command import Command
from shaken.deploy.files import Place
from shaken.deploy.following import Following
from shaken.deploy.offer import News, Source
from tests.shaken.deploy.listener_service import ListenerService, serving
from tests.system.process import until
from trust.authority import Authority, Issued

NAMES = ("a.example.com", "b.example.com")
MOMENT = datetime.now(UTC)


@pytest.fixture(scope="module")
def issued() -> tuple[Issued, Issued]:
    ca = Authority.create("Root", now=MOMENT)
    return ca.issue_server(NAMES, now=MOMENT), ca.issue_server(NAMES, now=MOMENT)


@pytest.fixture
def service(issued: tuple[Issued, Issued]) -> Iterator[ListenerService]:
    with serving() as started:
        for name in NAMES:
            started.offer(name, issued[0])
        yield started


class Watch:
    """A watching agent in this process; its reload adds a line to `log`."""

    def __init__(self, folder: Path, source: Source) -> None:
        self.said: list[str] = []
        self.complaints: list[str] = []
        self.log = folder / "log"
        self.broken = folder / "broken"
        self.targets = [Target(name, Place(folder / f"{name}.pem")) for name in NAMES]
        reload = f"sh -c 'echo x >> {self.log}; test ! -e {self.broken}'"
        agent = Agent(
            targets=self.targets,
            check=None,
            reload=Command.parse(reload, seconds=30),
            environment={"PATH": "/usr/bin:/bin"},
            say=self.said.append,
        )
        self.following = Following(source, agent, complain=self.complaints.append)

    @contextmanager
    def running(self) -> Iterator["Watch"]:
        """Run it for a while."""
        thread = Thread(target=self.following.run)
        thread.start()
        try:
            yield self
        finally:
            self.following.end()
            thread.join(30)
            assert not thread.is_alive()

    def reloads(self) -> int:
        return len(self.log.read_text().split()) if self.log.exists() else 0

    def wait_until_written(self, issued: Issued) -> None:
        for _ in until("the files are written"):
            if all(
                each.place.out.exists() and each.place.out.read_text().startswith(issued.chain_pem)
                for each in self.targets
            ):
                return

    def wait_until_complaint(self, text: str) -> None:
        for _ in until(f"a complaint: {text}"):
            if any(text in line for line in self.complaints):
                return

    def wait_until_said(self, text: str, times: int = 1) -> None:
        for _ in until(f"it says {text}"):
            if sum(text in line for line in self.said) >= times:
                return


@pytest.fixture
def watch(tmp_path: Path, service: ListenerService) -> Watch:
    return Watch(tmp_path, Source(Client(service.url, "shk_x")))


def test_news_are_followed_and_those_that_come_together_reload_once(
    watch: Watch,
    service: ListenerService,
    issued: tuple[Issued, Issued],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "TOGETHER_SECONDS", 2)
    with watch.running():
        watch.wait_until_said("reloaded")
        watch.wait_until_written(issued[0])
        for name in NAMES:
            service.offer(name, issued[1])
        watch.wait_until_said("reloaded", 2)

        watch.wait_until_written(issued[1])
    assert watch.reloads() == 2
    assert watch.complaints == []


def test_a_reload_that_fails_is_tried_until_it_does_not(
    watch: Watch, issued: tuple[Issued, Issued]
) -> None:
    watch.broken.touch()
    with watch.running():
        watch.wait_until_complaint("the reload is still due); next try in")
        watch.wait_until_written(issued[0])
        watch.broken.unlink()
        watch.wait_until_said("reloaded")
    assert watch.reloads() >= 2


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_service_that_refuses_is_asked_again(
    watch: Watch, service: ListenerService, issued: tuple[Issued, Issued], status: int
) -> None:
    service.refuse(NAMES[0], status, "no")
    with watch.running():
        watch.wait_until_complaint(f"a.example.com: it is no ({status} no)")
        service.offer(NAMES[0], issued[0])
        watch.wait_until_written(issued[0])


def test_a_key_that_does_not_fit_is_not_written_and_asked_for_again(
    watch: Watch, service: ListenerService, issued: tuple[Issued, Issued]
) -> None:
    with watch.running():
        watch.wait_until_written(issued[0])
        for name in NAMES:
            service.offer(name, issued[1], private_key=issued[0].key_pem)
        watch.wait_until_complaint("cannot be used")
        watch.wait_until_written(issued[0])
        for name in NAMES:
            service.offer(name, issued[1])
        watch.wait_until_written(issued[1])


def test_files_that_cannot_be_written_are_tried_again(
    watch: Watch, issued: tuple[Issued, Issued]
) -> None:
    obstacle = watch.targets[0].place.out
    obstacle.mkdir()
    with watch.running():
        watch.wait_until_complaint("Is a directory; next try in")
        obstacle.rmdir()
        watch.wait_until_written(issued[0])


def test_what_nobody_thought_of_ends_it(tmp_path: Path) -> None:
    class Broken(Source):
        def ask(self, name: str, *, known: str | None = None, wait: int = 0) -> News | None:
            raise ZeroDivisionError(name, known, wait)

    watch = Watch(tmp_path, Broken(Client("http://127.0.0.1:1", "shk_x")))

    with pytest.raises(ZeroDivisionError):
        watch.following.run()
