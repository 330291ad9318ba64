"""Objects to send: files that are new to every receiver each time, written to memory if possible.

An archive that has an object already does less for the same bytes, so each batch gets SOP
Instance UIDs of its own. They are as long as the old ones; the rest of a file stays.
"""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.studies import Plan, make_instances

_META_LENGTH = 140  # where the value of (0002,0000) is in a file
_DIGITS = 8  # of a UID's end, which count objects
_MAX_ROWS = 512  # of pictures that are really drawn
_MEMORY = Path("/dev/shm")  # noqa: S108 - others' files are not touched
_NEEDED_BYTES = 1 << 30


def memory_folder() -> Path | None:
    """Where files cost no disk; None, the system's temporary folder, if there is no room."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _NEEDED_BYTES
    return _MEMORY if roomy else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A CT image whose SOP Instance UID is replaced in each copy."""

    data: bytes
    uid: bytes

    def copy(self, number: int) -> bytes:
        """The file with a UID of its own."""
        return self.data.replace(self.uid, self.uid_of(number))

    def uid_of(self, number: int) -> bytes:
        """The UID of that file."""
        return self.uid[:-_DIGITS] + str(number).zfill(_DIGITS).encode()


@dataclass(frozen=True, slots=True)
class Object:
    """One of the files."""

    file: Path
    uid: str

    def data_set(self) -> bytes:
        """Read it; the data set is what comes behind preamble and file meta. PS3.10 7.1."""
        data = self.file.read_bytes()
        length = int.from_bytes(data[_META_LENGTH : _META_LENGTH + 4], "little")
        return data[_META_LENGTH + 4 + length :]


def make_template(rows: int) -> Template:
    """An image of so many rows and columns, two bytes a pixel."""
    drawn = min(rows, _MAX_ROWS)
    ((_, dataset),) = make_instances(Plan(size=drawn, seed=f"bench-{rows}"))
    if rows > drawn:  # drawing large pictures takes seconds
        size = rows * rows * 2
        pixels = dataset.PixelData
        dataset.PixelData = (pixels * (size // len(pixels) + 1))[:size]
        dataset.Rows = dataset.Columns = rows
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return Template(data=buffer.getvalue(), uid=str(dataset.SOPInstanceUID).encode())


@dataclass(slots=True, kw_only=True)
class Supply:
    """Batches of files in one folder; a new batch replaces the last."""

    folder: Path
    template: Template
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def object_bytes(self) -> int:
        """Size of one file."""
        return len(self.template.data)

    def batch(self, count: int, *, shares: int = 1) -> list[Path]:
        """Write `count` new files, spread over so many folders."""
        shutil.rmtree(self.folder, ignore_errors=True)
        folders = [self.folder / str(share) for share in range(shares)]
        for folder in folders:
            folder.mkdir(parents=True)
        for folder in itertools.islice(itertools.cycle(folders), count):
            number = next(self._numbers)
            (folder / f"{number}.dcm").write_bytes(self.template.copy(number))
        return folders

    def objects(self, count: int) -> list[Object]:
        """Write a batch, into one folder, and name what is in it."""
        (folder,) = self.batch(count)
        return [
            Object(file, self.template.uid_of(int(file.stem)).decode())
            for file in sorted(folder.iterdir())
        ]
