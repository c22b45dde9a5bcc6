import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Serve in both loops: the service runs uvloop, and asyncio is what is written for."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
