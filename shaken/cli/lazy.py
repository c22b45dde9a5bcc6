"""Groups of commands that load a command's module when it is named: most need little."""

import gc
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose `lazy` commands stand elsewhere: module and name of each."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:  # noqa: ANN401 - click's way
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List its own commands, then those that stand elsewhere."""
        return [*super().list_commands(ctx), *self._lazy]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command, and load it."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, name = self._lazy[cmd_name]
        command: Any = getattr(_loaded(module), name)
        return command if isinstance(command, click.Command) else None


def _loaded(module: str) -> ModuleType:
    """Load a module, and what it needs, once."""
    if module in sys.modules or not gc.isenabled():
        return import_module(module)
    # What modules are made of stays. To look for garbage in it would take a fifth of the time.
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        gc.enable()
