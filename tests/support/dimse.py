"""Short cuts for tests of the DIMSE room on real sockets."""

from __future__ import annotations

from dataclasses import fields, replace

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from harmony.dimse.pool import AssociationPool, OpenLink, PoolLimits
from harmony.dimse.target import Target, Timeouts
from harmony.envelope import Key, Level, Query, Root
from tests.support.bad_pacs import Instance

STUDY_UID = 0x0020000D
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

# Short enough for a test to see them pass, long enough for a busy machine.
IMPATIENT = Timeouts(
    lookup_seconds=2,
    connect_seconds=1.5,
    tls_seconds=1.5,
    associate_seconds=1.5,
    echo_seconds=1.5,
    find_first_seconds=1.5,
    find_next_seconds=1.5,
    move_seconds=1.5,
    get_seconds=1.5,
    store_seconds=1.5,
    send_seconds=1.5,
    pdu_seconds=0.7,
    cancel_seconds=0.5,
    release_seconds=0.5,
)


# For tests in which no deadline shall pass, however busy the machine is.
PATIENT = Timeouts(**dict.fromkeys((each.name for each in fields(Timeouts)), 60.0))


def target(port: int, timeouts: Timeouts = PATIENT, **changes: object) -> Target:
    base = Target(aet="PACS", host="127.0.0.1", port=port, local_aet="HARMONY", timeouts=timeouts)
    return replace(base, **changes)  # type: ignore[arg-type]


def pool(
    port: int, open_link: OpenLink, timeouts: Timeouts = PATIENT, **limits: float
) -> AssociationPool:
    return AssociationPool(
        "pacs",
        target(port, timeouts),
        PoolLimits(**limits),  # type: ignore[arg-type]
        open_link,
    )


def query(level: Level = Level.STUDY, *, limit: int | None = None, uid: str = "1.2.3") -> Query:
    return Query(level=level, root=Root.STUDY, keys=(Key(STUDY_UID, (uid,)),), limit=limit)


def move_query(destination: str = "DEST") -> Query:
    return replace(query(), destination=destination)


def row(number: int) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel = "STUDY"
    ds.PatientName = f"Row^{number:05}"
    ds.PatientID = f"P{number:05}"
    ds.StudyInstanceUID = f"1.2.3.{number + 1}"
    return ds


def rows(count: int) -> list[Dataset]:
    return [row(number) for number in range(count)]


def instance(size: int = 1000, uid: str | None = None) -> Instance:
    """A data set of Patient ID and so many bytes of pixels, encoded by hand."""
    pixels = bytes(range(256)) * (size // 256 + 1)
    length = size // 2 * 2
    data = (
        b"\x10\x00\x20\x00LO\x02\x00P1"
        + b"\xe0\x7f\x10\x00OW\x00\x00"
        + length.to_bytes(4, "little")
        + pixels[:length]
    )
    return Instance(
        sop_class=CT,
        sop_instance=uid or str(generate_uid()),
        transfer_syntax=EXPLICIT,
        data=data,
    )
