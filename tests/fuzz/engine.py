"""Runs one target under Atheris, whose flags are libFuzzer's: `python -m tests.fuzz.engine NAME …`.

Meant for `make fuzz`, which starts one such process for each target: a crash ends it.
"""

import shlex
import sys

import atheris

from tests.fuzz.target import warn_as_tests_do


def main() -> None:
    """Fuzz until a flag or a crash ends it. Does not return."""
    name, *flags = sys.argv[1:]
    with atheris.instrument_imports(include=["sip", "trust", "shaken"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented as it is imported
    warn_as_tests_do()
    # Where libFuzzer works in parts, it gives this to a shell, followed by flags.
    again = shlex.join([sys.executable, "-m", "tests.fuzz.engine", name])
    atheris.Setup([again, *flags], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
