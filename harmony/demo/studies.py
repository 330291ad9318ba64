"""Which studies there are: several modalities, and names in many scripts, all invented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import FileDataset

from harmony.demo.objects import Kind, Place, Subject, make_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study to make.

    Attributes:
        series: kind of each, and how many instances it has.
    """

    subject: Subject
    series: tuple[tuple[Kind, int], ...]


def _study(
    number: int,
    name: str,
    description: str,
    charset: tuple[str, ...],
    *series: tuple[Kind, int],
    patient: int | None = None,
) -> Study:
    subject = Subject(
        number=number,
        charset=charset,
        patient_id=f"DEMO-{patient or number}",
        name=name,
        description=description,
    )
    return Study(subject=subject, series=series)


# Specific Character Set: PS3.3 C.12.1.1.2. Each family name says "demo" or "test".
STUDIES: Final = (
    _study(1, "Démo^Un", "Thorax, fantôme", ("ISO_IR 100",), (Kind.CT, 20), (Kind.REPORT, 1)),
    _study(2, "Démo^Un", "Main, contrôle", ("ISO_IR 100",), (Kind.CR, 1), patient=1),
    _study(3, "Demó^Három", "Koponya, szelet ≥ 5 mm", ("ISO_IR 192",), (Kind.MR, 12)),
    _study(4, "Δοκιμή^Τέσσερα", "Υπέρηχος", ("ISO_IR 126",), (Kind.US, 1)),
    _study(5, "Demo^Go=試験^五=しけん^ご", "試験画像", ("", "ISO 2022 IR 87"), (Kind.CR, 2)),
    _study(6, "Проба^Шесть", "Проверка", ("ISO_IR 144",), (Kind.REPORT, 1), (Kind.PDF, 1)),
    _study(7, "Demo^Qi=演示^七", "演示检查", ("GB18030",), (Kind.CT, 6)),
    _study(8, "تجربة^ثمانية", "فحص تجريبي", ("ISO_IR 127",), (Kind.CR, 1)),
)

# Not in the archive at first: one for each way to send it there.
TO_SEND: Final = (
    _study(21, "Demo^Sent", "Sent by C-STORE", ("ISO_IR 192",), (Kind.CR, 1)),
    _study(22, "Demo^Sent", "Sent by HTTP", ("ISO_IR 192",), (Kind.CR, 1), patient=21),
)


def make_study(study: Study) -> Iterator[FileDataset]:
    """Make the instances of a study; the same bytes each time."""
    for number, (kind, count) in enumerate(study.series, 1):
        for instance in range(1, count + 1):
            yield make_object(
                kind, study.subject, Place(series=number, instance=instance, of=count)
            )
