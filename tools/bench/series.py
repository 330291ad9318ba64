"""What the PACS of the benchmark holds: CT series and patients, made once, loaded as archives."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.studies import Plan, make_instances, write_studies


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series, and how much there is of it."""

    study_uid: str
    series_uid: str
    instances: int
    pixel_bytes: int
    folder: Path

    @property
    def objects(self) -> Path:
        """The folder of its study, in which there is nothing but DICOM files."""
        return self.folder / "0000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A patient with so many studies of one small image each; the ID is ``M<studies>``."""

    id: str
    studies: int
    folder: Path


class Shelf:
    """Series and patients, each made when it is first asked for.

    Args:
        folder: for their files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._series: dict[tuple[int, int], Series] = {}
        self._patients: dict[int, Patient] = {}

    def series(self, instances: int, size: int) -> Series:
        """So many CT images of `size` by `size` pixels."""
        key = instances, size
        if key not in self._series:
            self._series[key] = make_series(self._folder, instances, size)
        return self._series[key]

    def rows(self, instances: int) -> Series:
        """So many images as small as can be."""
        return self.series(instances, 16)

    def patient(self, studies: int) -> Patient:
        """One with so many studies."""
        if studies not in self._patients:
            self._patients[studies] = make_patient(self._folder, studies)
        return self._patients[studies]


def make_series(folder: Path, instances: int, size: int) -> Series:
    """Write so many CT images of `size` by `size` pixels below `folder`."""
    own = folder / f"series-{instances}-{size}"
    made = write_studies(
        Plan(instances=instances, size=size, seed=f"bench-{instances}-{size}"), own
    )
    return Series(
        study_uid=made[0].study_uid,
        series_uid=made[0].series_uid,
        instances=instances,
        pixel_bytes=instances * size * size * 2,
        folder=own,
    )


def make_patient(folder: Path, studies: int) -> Patient:
    """Write the studies below `folder`."""
    patient = Patient(id=f"M{studies}", studies=studies, folder=folder / f"patient-{studies}")
    patient.folder.mkdir()
    plan = Plan(studies=studies, size=16, seed=f"bench-patient-{studies}")
    for number, (_, dataset) in enumerate(make_instances(plan)):
        dataset.PatientID = patient.id
        dataset.save_as(patient.folder / f"{number}.dcm", enforce_file_format=True)
    return patient


def archive(folder: Path) -> bytes:
    """Its files as a zip archive, which Orthanc takes much quicker than one file after another."""
    file = folder.with_suffix(".zip")
    if not file.exists():
        with zipfile.ZipFile(file, "w") as target:
            for path in sorted(folder.rglob("*.dcm")):
                target.write(path, path.relative_to(folder))
    return file.read_bytes()
