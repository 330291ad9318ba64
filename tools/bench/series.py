"""What the PACS of the benchmark holds: CT series, made once and loaded as one archive each."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.studies import Plan, write_studies


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


def archive(series: Series) -> bytes:
    """Its files as a zip archive, which Orthanc takes much quicker than one file after another."""
    file = series.folder / "series.zip"
    if not file.exists():
        with zipfile.ZipFile(file, "w") as target:
            for path in sorted(series.folder.rglob("*.dcm")):
                target.write(path, path.relative_to(series.folder))
    return file.read_bytes()
