"""Where a service keeps its things, and who keeps out of whose way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shaken.home import Home, HomeError
from tests.stores import home_of, make_store
from trust.keys import MasterKey, MasterKeyError
from trust.store.database import StoreError

OLD, NEW = MasterKey(b"1" * 32), MasterKey(b"2" * 32)


def test_database_and_key_lie_in_the_folder_unless_settings_say_otherwise(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    assert home.database_url == f"sqlite:///{tmp_path}/shaken.sqlite"
    assert home.key_file == tmp_path / "master.key"
    assert home.key_place == f"{tmp_path}/master.key"

    elsewhere = home_of(
        tmp_path,
        SHAKEN_DATABASE__URL="sqlite:////srv/a.sqlite",
        SHAKEN_KEYS__MASTER_KEY_FILE="/run/secrets/key",
    )
    assert elsewhere.database_url == "sqlite:////srv/a.sqlite"
    assert elsewhere.key_file == Path("/run/secrets/key")


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    store = make_store(tmp_path / "50%41 of [all]? #1", tenants=1)

    assert (store.data / "shaken.sqlite").exists()
    assert [path.name for path in tmp_path.iterdir()] == [store.data.name]


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(HomeError, match="file: it is no folder; choose another one"):
        home_of(file).make_folder()


def test_a_key_file_that_is_a_link_is_not_resolved(tmp_path: Path) -> None:
    # Where secrets are links that change with each version, the link is what stays.
    link = tmp_path / "master.key"
    link.symlink_to(tmp_path / "version-1")

    assert home_of(tmp_path).key_file == link


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [NEW, OLD]),
        ({"SHAKEN_KEYS__MASTER_KEY": OLD.to_text()}, [OLD]),
        (
            {
                "SHAKEN_KEYS__MASTER_KEY": NEW.to_text(),
                "SHAKEN_KEYS__FORMER_MASTER_KEY": OLD.to_text(),
            },
            [NEW, OLD],
        ),
        (
            {"SHAKEN_KEYS__FORMER_MASTER_KEY": MasterKey(b"3" * 32).to_text()},
            [NEW, OLD, MasterKey(b"3" * 32)],
        ),
        ({"SHAKEN_KEYS__FORMER_MASTER_KEY": OLD.to_text()}, [NEW, OLD]),
    ],
)
def test_keys_come_from_the_file_or_the_settings_with_the_former_one_last(
    tmp_path: Path, settings: dict[str, str], expected: list[MasterKey]
) -> None:
    (tmp_path / "master.key").write_text(f"{NEW.to_text()}\n{OLD.to_text()}\n")

    assert list(home_of(tmp_path, **settings).keys().keys) == expected


def test_without_any_key_the_place_for_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match=f"no master key at {tmp_path}/master.key"):
        home_of(tmp_path).keys()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"no database at {tmp_path}; --data-dir names"):
        home_of(tmp_path).open_database()

    assert [*tmp_path.iterdir()] == []


def test_a_database_of_the_settings_that_is_not_there_is_not_made_either(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/other.sqlite"

    with pytest.raises(StoreError, match=f"no database at {url}"):
        home_of(tmp_path, SHAKEN_DATABASE__URL=url).open_database()

    assert [*tmp_path.iterdir()] == []


def use(home: Home) -> None:
    with home.in_use():
        pass


def be_alone(home: Home) -> None:
    with home.alone():
        pass


def test_several_may_use_a_folder_and_nobody_is_alone_meanwhile(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with home.in_use():
        use(home)
        with pytest.raises(HomeError, match=f"a service runs on {tmp_path}; stop it first"):
            be_alone(home)

    be_alone(home)


def test_nobody_uses_a_folder_that_somebody_is_alone_in(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with home.alone():
        with pytest.raises(HomeError, match=f"{tmp_path} is being restored; try again"):
            use(home)
        with pytest.raises(HomeError):
            be_alone(home)

    use(home)


FORKED = """
import os, sys
from pathlib import Path
from tests.stores import home_of

with home_of(Path(sys.argv[1])).in_use():
    child = os.fork()
    if child == 0:
        sys.stdin.read()
        os._exit(0)
    print("forked", flush=True)
    os._exit(0)
"""


def test_a_process_forked_from_one_that_was_killed_still_uses_the_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", FORKED, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"forked\n"
        assert parent.wait() == 0
        with pytest.raises(HomeError, match="a service runs on"):
            be_alone(home_of(tmp_path))

        parent.communicate()

    be_alone(home_of(tmp_path))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=f"cannot use the folder {tmp_path}/nowhere: No such file"):
        use(home_of(tmp_path / "nowhere"))


def test_no_repr_of_settings_shows_a_key() -> None:
    home = home_of(
        Path("data"),
        SHAKEN_KEYS__MASTER_KEY=NEW.to_text(),
        SHAKEN_KEYS__FORMER_MASTER_KEY=OLD.to_text(),
    )

    assert NEW.to_text() not in repr(home)
    assert OLD.to_text() not in repr(home)
