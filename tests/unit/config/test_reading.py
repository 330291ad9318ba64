import os

import pytest

from harmony.config.reading import MAX_FILE_BYTES, UnreadableFile, read_bytes


def test_all_of_a_file_is_read(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"\x00" * MAX_FILE_BYTES)
    assert len(read_bytes(file)) == MAX_FILE_BYTES


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda file: None, "no such file or directory"),
        (lambda file: file.mkdir(), "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda file: file.symlink_to(file), "too many levels of symbolic links"),
        (lambda file: file.write_bytes(b"x" * (MAX_FILE_BYTES + 1)), "larger than 1048576 bytes"),
    ],
)
def test_what_is_not_there_or_no_file_is_not_read(tmp_path, make, reason):
    file = tmp_path / "f"
    make(file)
    with pytest.raises(UnreadableFile) as caught:
        read_bytes(file)
    assert caught.value.reason == reason


def test_a_text_that_names_no_file(tmp_path):
    with pytest.raises(UnreadableFile, match="not a file name"):
        read_bytes(tmp_path / "a\0b")
