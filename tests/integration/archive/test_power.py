"""Processes that share a folder or die over it."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from harmony.archive.folder import Folder
from harmony.archive.index import Unusable
from harmony.archive.upkeep import verify
from tests.support.archive import files_below

ROOT = Path(__file__).parents[3]

# Stores objects without end and tells each that it may tell of.
WRITER = """
import sys
from pathlib import Path
from harmony.archive.folder import Folder
from tests.support.archive import store

folder = Folder.open(Path(sys.argv[1]))
print("open", flush=True)
for number in range(1_000_000):
    uid = f"1.{sys.argv[2]}.{number}"
    store(folder, SOPInstanceUID=uid, PatientComments="x" * 5000)
    print(uid, flush=True)
"""


@contextlib.asynccontextmanager
async def writing(path, name):
    """What the writer tells, from a process that is killed where the block ends."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", WRITER, str(path), name],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    async with process.stdout:
        try:
            assert await lines(process.stdout, 1) == ["open"]
            yield process
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def lines(stream, number):
    """So many whole lines, or those that there are until the end."""
    output = b""
    while output.count(b"\n") < number and (byte := await stream.receive_some(1)):
        output += byte
    return output.decode().split("\n")[:-1]


async def test_what_a_killed_process_told_of_is_there_and_nothing_half_done(tmp_path):
    told = []
    with trio.fail_after(60):
        for name in ("1", "2", "3"):
            async with writing(tmp_path, name) as process:
                told += await lines(process.stdout, 30)
                process.kill()
                told += await lines(process.stdout, 1_000_000)
    folder = Folder.open(tmp_path)
    try:
        with folder.index.reading() as db:
            archived = {uid for (uid,) in db.execute("SELECT SOPInstanceUID FROM instance")}
        assert len(told) >= 90
        assert set(told) <= archived
        assert len(archived) <= len(told) + 3
        assert verify(folder, lambda _: None).faults == ()
        assert not files_below(tmp_path, "incoming")
    finally:
        folder.close()


async def test_two_processes_cannot_have_one_folder(tmp_path):
    with trio.fail_after(30):
        async with writing(tmp_path, "1"):
            with pytest.raises(Unusable, match="in use by another process"):
                Folder.open(tmp_path)
    Folder.open(tmp_path).close()  # the lock died with its owner
