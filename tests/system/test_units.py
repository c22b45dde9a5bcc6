"""The systemd unit and the compose file of `examples`, as far as programs can judge."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its types are a package of their own

from tests.ports import free_port
from tests.system.caller import Caller
from tests.system.listener import EXAMPLES, child, example
from tests.system.process import run_shaken, until

UNIT = EXAMPLES / "systemd/shaken.service"
COMPOSE = EXAMPLES / "compose/compose.yaml"

EXPOSURE = 20
"""Tenths: what `systemd-analyze security` may say at most; 10.0 is a unit without any hardening."""


def written_unit(folder: Path) -> Path:
    """Write the unit with a program that is there, and folders of ours."""
    program = folder / "shaken"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m shaken "$@"\n')
    program.chmod(0o755)
    unit = folder / "shaken.service"
    unit.write_text(
        example(
            "systemd/shaken.service",
            places={
                "/opt/shaken/bin/shaken": program,
                "/etc/shaken/shaken.toml": folder / "shaken.toml",
                "/var/lib/shaken": folder / "data",
            },
        )
    )
    return unit


def analyze(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run systemd-analyze."""
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    unit = written_unit(tmp_path)

    verified = analyze("verify", "--man=no", unit)
    judged = analyze("security", "--offline=yes", f"--threshold={EXPOSURE}", unit)

    assert (verified.returncode, verified.stderr) == (0, "")
    assert judged.returncode == 0, judged.stdout


def test_the_command_of_the_unit_serves(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "shaken.toml").write_text(f'[http]\naddress = "127.0.0.1:{port}"\n')
    found = re.search(r"^ExecStart=(.*)$", written_unit(tmp_path).read_text(), re.MULTILINE)
    assert found

    with child(*shlex.split(found[1]), log=tmp_path / "log") as process:
        for _ in until("the service answers"):
            try:
                if Caller(f"http://127.0.0.1:{port}").get("/healthz").status == 200:
                    break
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()
    assert process.returncode == 0


def compose() -> dict[str, Any]:
    """Read the compose file's only service."""
    document = yaml.safe_load(COMPOSE.read_text())
    assert set(document) == {"services", "volumes"}
    assert document["volumes"] == {"data": None}
    service: dict[str, Any] = document["services"]["shaken"]
    return service


def test_the_settings_of_the_container_are_good(tmp_path: Path) -> None:
    service = compose()

    run = run_shaken(
        *("serve", "--data-dir", tmp_path / "data", "--check", *service["command"]),
        folder=tmp_path,
        **service["environment"],
    )

    assert run.returncode == 0, run.stderr


def test_the_container_publishes_what_it_listens_on_and_keeps_its_data() -> None:
    service = compose()
    dockerfile = (EXAMPLES.parent / "Dockerfile").read_text()

    published = {port.split(":")[-1] for port in service["ports"]}
    listens = {
        address.rpartition(":")[2]
        for name, address in service["environment"].items()
        if name.endswith("ADDRESS")
    }

    assert published == listens
    assert (COMPOSE.parent / service["build"]).resolve() == EXAMPLES.parent
    assert service["volumes"] == ["data:/data"]
    assert "VOLUME /data\n" in dockerfile
    assert '"--data-dir", "/data"' in dockerfile
