"""Work that kills itself before any of its lines."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any


def killed_before(line: int, work: Callable[[], object], modules: list[ModuleType]) -> bool:
    """Work in a process of its own that is killed before so many lines of these modules have run.

    Say whether it got that far; if not, the work was done.
    """
    files = {module.__file__ for module in modules}
    left = line

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.settrace(trace)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, it is shown
            sys.settrace(None)
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, "the work failed"
    return os.WIFSIGNALED(status)
