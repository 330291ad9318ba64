"""The steps on a real file system."""

import pytest

from harmony.archive.disk import RealDisk


def test_a_file_is_private_and_can_be_read_back(tmp_path):
    disk = RealDisk()
    path = tmp_path / "one"
    with disk.create(path) as file:
        disk.write(file, b"data")
        disk.sync(file)
        file.seek(0)
        assert file.read() == b"data"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        disk.create(path)


def test_a_second_name_outlives_the_first(tmp_path):
    disk = RealDisk()
    first, second = tmp_path / "one", tmp_path / "two"
    disk.create(first).close()
    disk.link(first, second)
    disk.sync_folder(tmp_path)
    disk.unlink(first)
    disk.unlink(first)
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


def test_free_bytes_of_a_folder(tmp_path):
    assert RealDisk().free_bytes(tmp_path) > 0
