"""Workers: processes that share the listening sockets, restarted when they die.

The supervisor binds the sockets, so that a taken port is found before anything else; workers are
forked from it and inherit sockets and master key. It holds no threads and no event loop, which
forking would tear. Each worker that died starts again after a pause of its own, whatever befalls
the others. Should the supervisor be killed, its workers see the pipe to it close, and end.
"""

import errno
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from shaken.config import Address, SipSettings
from shaken.open_files import allow_many
from shaken.redirect.listener import SipSockets
from shaken.service import Prepared, StartError
from shaken.worker import BACKLOG, Sockets, serve

RESTART_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
"""How long to wait before a worker that died is started again: longer each time in a row."""

STEADY_SECONDS = 10.0
"""A worker that lived this long starts again without having its earlier deaths counted."""

TEND_SECONDS = 0.05
"""How often it is looked, while a place is vacant, whether its time has come."""

STOP_SECONDS = 25
"""How long workers may take to finish what is begun: some 17, when all goes as it should."""

READY_SECONDS = 30.0
"""How long workers may take until they serve."""

BUFFER_BYTES = 4 * 1024 * 1024
"""What the kernel holds of datagrams that wait for a worker, a second of 2,000 INVITEs, or that a
worker has sent."""

_log = logging.getLogger(__name__)


def listen(address: Address, *, section: str, name: str = "address") -> socket.socket:
    """Bind a listening TCP socket that a setting asks for. Raises StartError."""
    listener = _socket(address, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(address, error, section, name) from error
    listener.settimeout(0)
    return listener


def sip_sockets(settings: SipSettings, *, workers: int) -> SipSockets:
    """Bind the sockets for SIP that the settings ask for. Raises StartError."""
    udp: list[list[socket.socket]] = [[] for _ in range(workers)]
    for text in settings.udp:
        address = Address.parse(text)
        # One that may not be shared comes first: it finds who else has the port.
        _datagrams(address, is_shared=False).close()
        for group in udp:
            group.append(_datagrams(address, is_shared=True))
    streams = {
        name: tuple(listen(Address.parse(text), section="sip", name=name) for text in listed)
        for name, listed in (("tcp", settings.tcp), ("tls", settings.tls))
    }
    groups = tuple(map(tuple, udp)) if settings.udp else ()
    return SipSockets(groups, streams["tcp"], streams["tls"])


def _datagrams(address: Address, *, is_shared: bool) -> socket.socket:
    bound = _socket(address, socket.SOCK_DGRAM)
    try:
        if is_shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Of what the kernel does not grant, it gives what it has.
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            bound.setsockopt(socket.SOL_SOCKET, buffer, BUFFER_BYTES)
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        raise _cannot_listen(address, error, "sip", "udp") from error
    bound.settimeout(0)
    return bound


def _socket(address: Address, kind: socket.SocketKind) -> socket.socket:
    """Make a socket; one for IPv6 is not for IPv4, so that `0.0.0.0` may stand beside `[::]`."""
    if ":" not in address.host:
        return socket.socket(socket.AF_INET, kind)
    made = socket.socket(socket.AF_INET6, kind)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made


def _cannot_listen(address: Address, error: OSError, section: str, name: str) -> StartError:
    return StartError(
        f"cannot listen on {address}: {error.strerror}; choose another address with"
        f" [{section}] {name} or SHAKEN_{section.upper()}__{name.upper()}",
        # The machine's network may come up later.
        is_passing=error.errno == errno.EADDRNOTAVAIL,
    )


@dataclass
class _Worker:
    """A worker that runs; `deaths` are those in a row before it."""

    slot: int
    started: float
    deaths: int


@dataclass
class _Vacancy:
    """A place among the workers that is taken again at a time of the monotonic clock."""

    slot: int
    due: float
    deaths: int


class Supervisor:
    """Starts workers, keeps their number, and stops them together."""

    def __init__(self, prepared: Prepared, sockets: Sockets, *, workers: int) -> None:
        """Take what each worker is built from, and how many there are."""
        self._prepared = prepared
        self._sockets = sockets
        self._wanted = workers
        self._workers: dict[int, _Worker] = {}
        self._vacancies: list[_Vacancy] = []
        self._stopping = False
        self._lifeline, self._held = os.pipe()

    def run(self, *, on_ready: Callable[[], None]) -> int:
        """Run until SIGTERM or SIGINT and return the exit code. SIGHUP changes nothing.

        `on_ready` is called once, when all workers serve.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, _refuse_to_reload)
        allow_many()
        try:
            if self._come_up():
                on_ready()
            elif not self._stopping:
                _log.error("the workers did not come up; the lines above say why")
                return 1
            while not self._stopping:
                self._tend()
        finally:
            self._stop(signal.SIGTERM, None)
            self._reap_all()
        return 0

    def _come_up(self) -> bool:
        """Start all workers, and wait until they serve; say whether they do."""
        ready, ready_end = os.pipe()
        try:
            for slot in range(self._wanted):
                self._start(slot, deaths=0, ready=ready_end)
        except OSError as error:
            _log.error("a worker cannot be started: %s", error)
            return False
        finally:
            os.close(ready_end)
        return self._all_ready(ready)

    def _all_ready(self, ready: int) -> bool:
        """Wait until each worker has written its byte; the pipe closes early when one dies."""
        os.set_blocking(ready, False)
        deadline = time.monotonic() + READY_SECONDS
        seen = 0
        while seen < self._wanted and not self._stopping and time.monotonic() < deadline:
            try:
                chunk = os.read(ready, self._wanted)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            if not chunk:
                break
            seen += len(chunk)
        os.close(ready)
        return seen == self._wanted

    def _start(self, slot: int, *, deaths: int, ready: int | None) -> None:
        """Start a worker. Raises OSError when there is no process to be had."""
        blocked = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        # A signal between fork and the child's own handlers would run the supervisor's.
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            if self._stopping:
                return
            pid = os.fork()
            if pid == 0:
                try:
                    for number in blocked:
                        signal.signal(number, signal.SIG_DFL)
                    signal.signal(signal.SIGHUP, signal.SIG_IGN)
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
                    os.close(self._held)
                    self._be_worker(slot, ready)
                finally:
                    # Whatever goes wrong, even the last words: its siblings are not its to end.
                    os._exit(1)
            self._workers[pid] = _Worker(slot, time.monotonic(), deaths)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)

    def _be_worker(self, slot: int, ready: int | None) -> None:
        code = 1
        try:
            serve(
                self._prepared,
                self._sockets,
                slot=slot,
                lifeline=self._lifeline,
                on_ready=lambda: _tell(ready),
            )
            code = 0
        except Exception:
            _log.exception("worker %d failed", os.getpid())
        finally:
            for stream in (sys.stdout, sys.stderr):
                # One that was closed before the start is None.
                with suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            os._exit(code)

    def _tend(self) -> None:
        """Take notice of a worker that ended, and start those whose pause is over.

        While none is to be started, this waits for the next one to end.
        """
        try:
            pid, status = os.waitpid(-1, os.WNOHANG if self._vacancies else 0)
        except ChildProcessError:  # all places are vacant
            pid, status = 0, 0
        worker = self._workers.pop(pid, None)
        if worker is not None and not self._stopping:
            self._leave_vacant(worker, pid, status)
        now = time.monotonic()
        due = [each for each in self._vacancies if each.due <= now]
        self._vacancies = [each for each in self._vacancies if each.due > now]
        for vacancy in due:
            self._fill(vacancy)
        if pid == 0 and not due:
            time.sleep(TEND_SECONDS)

    def _leave_vacant(self, worker: _Worker, pid: int, status: int) -> None:
        lived = time.monotonic() - worker.started
        deaths = 0 if lived > STEADY_SECONDS else worker.deaths + 1
        pause = _pause(deaths)
        _log.error(
            "worker %d ended (%s) after %.1f s; another starts in %.1f s",
            pid,
            _how(status),
            lived,
            pause,
        )
        self._vacancies.append(_Vacancy(worker.slot, time.monotonic() + pause, deaths))

    def _fill(self, vacancy: _Vacancy) -> None:
        """Start a worker in a vacant place; where there is no process to be had, later."""
        try:
            self._start(vacancy.slot, deaths=vacancy.deaths, ready=None)
        except OSError as error:
            deaths = vacancy.deaths + 1
            pause = _pause(deaths)
            _log.error("a worker cannot be started: %s; tried again in %.1f s", error, pause)
            self._vacancies.append(_Vacancy(vacancy.slot, time.monotonic() + pause, deaths))

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True
        # While workers finish what is begun, newcomers are turned away instead of left waiting.
        # Here, for waiting for a worker's end goes on after a signal.
        self._sockets.close()
        for pid in self._workers:
            # The signal may come between a worker's end and its leaving the list.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _reap_all(self) -> None:
        """Wait until all workers have ended; who does not is killed."""
        # Workers started while the signal came in were not told.
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._workers:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid:
                self._workers.pop(pid, None)
            elif time.monotonic() < deadline:
                time.sleep(TEND_SECONDS)
            else:
                self._kill_all()
                deadline = math.inf

    def _kill_all(self) -> None:
        for pid in self._workers:
            _log.error("worker %d does not end, and is killed; its last records are lost", pid)
            os.kill(pid, signal.SIGKILL)


def _refuse_to_reload(_number: int, _frame: object) -> None:
    _log.warning("settings are read at start only: restart the service to read them anew")


def _tell(ready: int | None) -> None:
    if ready is not None:
        os.write(ready, b"r")
        os.close(ready)


def _pause(deaths: int) -> float:
    """Return for how many seconds a place is vacant after so many deaths in a row."""
    return RESTART_SECONDS[min(deaths, len(RESTART_SECONDS) - 1)]


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.waitstatus_to_exitcode(status)}"
