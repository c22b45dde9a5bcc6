"""Records by a program of the machine."""

from pathlib import Path

import pytest

from trust.acme.challenges import PublicationError, TxtRecord
from trust.acme.dns.hook import HookWriter
from trust.acme.dns.publishers import check_settings, publisher_for
from trust.acme.dns.reading import DnsSettingsError
from trust.acme.dns.settings import HookSettings

RECORDS = [
    TxtRecord("_acme-challenge.example.test", "-first"),
    TxtRecord("_acme-challenge.example.test", "second"),
    TxtRecord("_acme-challenge.pbx.example.test", "third"),
]


def program(folder: Path, script: str) -> Path:
    file = folder / "hook with a space"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def test_a_hook_is_called_for_each_record(tmp_path: Path) -> None:
    file = program(tmp_path, f'printf "<%s>" "$@" >> {tmp_path}/calls; echo >> {tmp_path}/calls')
    settings = HookSettings(command=(str(file), "--zone of", "$HOME"), delegate=False)
    publisher = publisher_for(settings)

    publisher.publish(RECORDS)
    publisher.withdraw(RECORDS[:1])

    assert (tmp_path / "calls").read_text() == (
        "<--zone of><$HOME><publish><_acme-challenge.example.test><-first>\n"
        "<--zone of><$HOME><publish><_acme-challenge.example.test><second>\n"
        "<--zone of><$HOME><publish><_acme-challenge.pbx.example.test><third>\n"
        "<--zone of><$HOME><withdraw><_acme-challenge.example.test><-first>\n"
    )


def test_a_hook_that_fails_is_said_with_its_code_and_last_line(tmp_path: Path) -> None:
    file = program(tmp_path, "echo trying >&2; echo the zone is locked >&2; exit 4")
    publisher = publisher_for(HookSettings(command=(str(file),), delegate=False))

    with pytest.raises(PublicationError) as failed:
        publisher.publish(RECORDS[:1])

    assert str(failed.value) == (
        f"{file} publish _acme-challenge.example.test: it ended with code 4: the zone is locked"
    )


def test_other_names_are_withdrawn_though_a_hook_fails_for_one(tmp_path: Path) -> None:
    file = program(tmp_path, f"case $2 in *pbx*) echo $3 >> {tmp_path}/done;; *) exit 1;; esac")
    publisher = publisher_for(HookSettings(command=(str(file),), delegate=False))

    with pytest.raises(PublicationError, match="ended with code 1"):
        publisher.withdraw(RECORDS)

    assert (tmp_path / "done").read_text() == "third\n"


def test_a_hook_that_hangs_is_ended(tmp_path: Path) -> None:
    file = program(tmp_path, "exec sleep 600")
    writer = HookWriter(HookSettings(command=(str(file),)), seconds=0.3)

    with pytest.raises(PublicationError, match=r"did not end within 0\.3 s"):
        writer.add("", RECORDS[:1])


def test_a_hook_that_can_be_run_passes_the_check(tmp_path: Path) -> None:
    check_settings(HookSettings(command=(str(program(tmp_path, "")),)))


def test_a_hook_that_is_not_there_fails_the_check(tmp_path: Path) -> None:
    with pytest.raises(DnsSettingsError, match="there is no program") as refused:
        check_settings(HookSettings(command=(f"{tmp_path}/hook",)))

    assert refused.value.field == "command"


def test_a_folder_is_no_hook(tmp_path: Path) -> None:
    with pytest.raises(DnsSettingsError, match="there is no program"):
        check_settings(HookSettings(command=(str(tmp_path),)))


def test_a_hook_that_is_not_executable_fails_the_check(tmp_path: Path) -> None:
    file = program(tmp_path, "")
    file.chmod(0o644)

    with pytest.raises(DnsSettingsError, match="cannot be run by this service: chmod"):
        check_settings(HookSettings(command=(str(file),)))
