"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from shaken.whole_files import write_private


def test_a_private_file_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "admin.json"
    write_private(file, "old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shaken.whole_files.os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_private(file, "new")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"admin.json": "old"}
    assert file.stat().st_mode & 0o777 == 0o600
