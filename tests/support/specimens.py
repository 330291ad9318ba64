"""SOP instances in every transfer syntax there is, small ones, as files.

Three sorts: what pydicom's wheel brings along, what `studies` makes, and for syntaxes that no
codec here writes, data sets whose pixels are random bytes in fragments: nobody on the way of an
object looks into them.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

from harmony.dicom.uids import DEFLATED
from tests.support.archive import data_set
from tests.support.bad_pacs import Instance, instance_from_file
from tests.support.part10 import part10
from tests.support.studies import Kind, Plan, write_studies

_WHEEL = Path(pydicom.__file__).parent / "data"
_CLASSES = (  # CT, secondary capture, ultrasound multi-frame
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.3.1",
)
_ONLY_IN_FILES = "1.2.840.10008.1.3.10"  # DICOMDIR: PS3.4 annex B does not have it
_WITHOUT_A_CODEC: Final = ("implicit", "explicit", "deflated", "bigendian", "rle")
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """A file, and the instance in it."""

    file: Path
    instance: Instance

    @property
    def is_deflated(self) -> bool:
        return self.instance.transfer_syntax in DEFLATED


def from_the_wheel() -> list[Specimen]:
    """All files of pydicom's wheel that hold an instance which may be sent.

    Without those of an odd number of bytes: they are cut short, and a data set is even
    (PS3.5 7.1). A deflated one may be odd in a file, as PS3.5 A.5 pads it on its way.
    """
    found = []
    for file in sorted(_WHEEL.rglob("*")):
        if not file.is_file() or not _holds_an_instance(file):
            continue
        one = Specimen(file=file, instance=instance_from_file(file))
        if one.is_deflated or len(one.instance.data) % 2 == 0:
            found.append(one)
    return found


def _holds_an_instance(file: Path) -> bool:
    try:
        meta = read_file_meta_info(file)
    except (InvalidDicomError, OSError):
        return False
    wanted = ("FileMetaInformationGroupLength", "TransferSyntaxUID", "MediaStorageSOPInstanceUID")
    return all(name in meta for name in wanted) and meta.MediaStorageSOPClassUID != _ONLY_IN_FILES


def made(folder: Path, *, instances: int = 3) -> list[Specimen]:
    """So many of each kind in each transfer syntax that `studies` makes without a codec."""
    found = []
    for name in _WITHOUT_A_CODEC:
        kinds = tuple(kind for kind in Kind if kind.has_pixels or name == "explicit")
        plan = Plan(
            studies=len(kinds),
            kinds=kinds,
            instances=instances,
            size=16,
            frames=2,
            private=True,
            transfer_syntax=name,
        )
        for one in write_studies(plan, folder / name):
            found.append(Specimen(file=one.file, instance=instance_from_file(one.file)))
    return found


def invented(folder: Path, syntaxes: Iterable[str], *, each: int = 6) -> list[Specimen]:
    """So many in each of these syntaxes, which are of encapsulated or of deflated data sets."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for syntax in syntaxes:
        for number in range(each):
            instance = _invented(syntax, number)
            file = folder / f"{instance.sop_instance}.dcm"
            file.write_bytes(part10(instance))
            found.append(Specimen(file=file, instance=instance))
    return found


def table(syntaxes: Iterable[str]) -> str:
    """How many objects there are in which transfer syntax, for people; one is given for each."""
    counts = Counter(syntaxes)
    lines = [f"{count:5}  {UID(syntax).name}" for syntax, count in sorted(counts.items())]
    return "\n".join([*lines, f"{counts.total():5}  objects in {len(counts)} transfer syntaxes"])


def _invented(syntax: str, number: int) -> Instance:
    chance = random.Random(f"{syntax}/{number}")
    sop_class = _CLASSES[number % len(_CLASSES)]
    uid = f"2.25.{chance.getrandbits(100) | 1 << 100}"
    data = data_set(SOPClassUID=sop_class, SOPInstanceUID=uid)
    data += b"".join(_pixels(chance, fragments=number))
    if syntax in DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflater.compress(data) + deflater.flush()
    return Instance(sop_class=sop_class, sop_instance=uid, transfer_syntax=syntax, data=data)


def _pixels(chance: random.Random, fragments: int) -> Iterator[bytes]:
    """Encapsulated pixel data. PS3.5 A.4."""
    yield b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
    yield _ITEM + bytes(4)  # an empty offset table
    for _ in range(fragments):
        data = chance.randbytes(2 * chance.randrange(1, 1000))
        yield _ITEM + len(data).to_bytes(4, "little") + data
    yield _SEQUENCE_END + bytes(4)
