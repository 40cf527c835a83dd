"""Files that take their content along."""

import pickle
from pathlib import Path

import pytest

from squadlite.portable import PortablePath


def sent(file: PortablePath) -> PortablePath:
    arrived = pickle.loads(pickle.dumps(file))  # noqa: S301 - our own bytes
    assert isinstance(arrived, PortablePath)
    return arrived


def test_at_home_a_file_is_itself(tmp_path: Path) -> None:
    with PortablePath(tmp_path / "a.md").here() as path:
        assert path == tmp_path / "a.md"


def test_elsewhere_it_has_its_name_and_content_for_a_while(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"salt\0")
    arrived = sent(PortablePath(tmp_path / "a.md"))
    (tmp_path / "a.md").unlink()
    for file in (arrived, sent(arrived)):
        with file.here() as path:
            assert (path.name, path.read_bytes()) == ("a.md", b"salt\0")
            assert path.parent != tmp_path
        assert not path.parent.exists()
        assert str(file) == str(tmp_path / "a.md")


def test_a_folder_takes_its_files_along(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "deeper").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "deeper" / "log").write_bytes(b"...")
    with sent(PortablePath(folder)).here() as path:
        assert path.name == "model"
        assert [(file.name, file.read_bytes()) for file in path.iterdir()] == [
            ("config.json", b"{}")
        ]


def test_an_empty_folder_arrives_as_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with sent(PortablePath(tmp_path / "empty")).here() as path:
        assert list(path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_told_where_it_is_asked_for(tmp_path: Path) -> None:
    arrived = sent(PortablePath(tmp_path / "gone.md"))
    with pytest.raises(FileNotFoundError, match=r"gone\.md"), arrived.here():
        pass
