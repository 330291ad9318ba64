"""Reading an archived data set."""

import pytest
import trio

from harmony.archive.file_data import READ_BYTES, FileData
from harmony.archive.index import Filed
from harmony.errors import UpstreamError


def file_data(path, size, head_bytes=4):
    filed = Filed(
        file="ab" * 16,
        sop_class_uid="1.2",
        sop_instance_uid="1.2.3",
        transfer_syntax="1.2",
        head_bytes=head_bytes,
        size=size,
        sha256=b"",
    )
    return FileData(path, filed, trio.CapacityLimiter(1), archive="keep")


@pytest.mark.parametrize("size", [0, 1, READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES])
async def test_each_reader_gets_all_of_it_in_chunks(tmp_path, size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    path = tmp_path / "file"
    path.write_bytes(b"head" + data)
    source = file_data(path, size)
    for _ in range(2):
        chunks = [chunk async for chunk in source]
        assert b"".join(chunks) == data
        assert all(0 < len(chunk) <= READ_BYTES for chunk in chunks)


@pytest.mark.parametrize("present", [True, False])
async def test_a_file_that_is_short_or_gone_breaks(tmp_path, present):
    path = tmp_path / "file"
    if present:
        path.write_bytes(b"head and little more")
    with pytest.raises(UpstreamError) as caught:
        async for _ in file_data(path, 1000):
            pass
    assert caught.value.code == "archive-damaged"
    assert caught.value.backend == "keep"
    assert "ab" * 16 in caught.value.detail
