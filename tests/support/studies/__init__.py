"""Studies for tests and benchmarks, made and not recorded: no patient ever had them.

The same `Plan` gives the same bytes: every UID, name, date and pixel comes from the seed and
the place of the instance. A plan for more studies contains the smaller one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydicom.dataset import FileDataset

from tests.support.studies.charsets import CHARSETS, UNDECLARED, CharsetCase, charset_case
from tests.support.studies.datasets import TRANSFER_SYNTAXES, Kind, Place, make_dataset
from tests.support.studies.phantom import Phantom

__all__ = [
    "CHARSETS",
    "TRANSFER_SYNTAXES",
    "UNDECLARED",
    "CharsetCase",
    "Kind",
    "MadeInstance",
    "Place",
    "Plan",
    "charset_case",
    "make_instances",
    "write_studies",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many studies, and of what.

    Attributes:
        kinds, charsets: one a study, in turn.
        transfer_syntax: of images; a key of `TRANSFER_SYNTAXES`.
        size: rows and columns of an image.
        frames: of an ultrasound loop.
        private: whether private elements are added.
    """

    studies: int = 1
    series: int = 1
    instances: int = 1
    kinds: tuple[Kind, ...] = (Kind.CT,)
    charsets: tuple[str, ...] = ("ascii",)
    transfer_syntax: str = "explicit"
    size: int = 512
    frames: int = 10
    private: bool = False
    seed: str = "harmony"

    def salt(self) -> str:
        """What UIDs depend on: what is in the files, not how many there are."""
        kinds, charsets = ",".join(self.kinds), ",".join(self.charsets)
        what = (self.seed, kinds, self.transfer_syntax, self.size, charsets, int(self.private))
        return "/".join(map(str, what))


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeInstance:
    """One instance that was written to a file."""

    file: Path
    study_uid: str
    series_uid: str
    sop_uid: str
    patient_id: str
    pixel_sha256: str | None
    place: Place = field(repr=False)


def make_instances(plan: Plan) -> Iterator[tuple[Place, FileDataset]]:
    """Make the instances of a plan, study by study; each is a complete DICOM file."""
    seed = plan.salt()
    for study in range(plan.studies):
        kind = plan.kinds[study % len(plan.kinds)]
        charset = plan.charsets[study % len(plan.charsets)]
        for series in range(plan.series):
            phantom = (
                Phantom(plan.size, f"{seed}/{study}/{series}", mr=kind is Kind.MR)
                if kind.has_pixels
                else None
            )
            for instance in range(plan.instances):
                place = Place(
                    study=study, series=series, instance=instance, kind=kind, charset=charset
                )
                dataset = make_dataset(
                    place,
                    seed=seed,
                    transfer_syntax=plan.transfer_syntax if kind.has_pixels else "explicit",
                    of_instances=plan.instances,
                    frames=plan.frames,
                    private=plan.private,
                    phantom=phantom,
                )
                yield place, dataset


def write_studies(plan: Plan, folder: Path) -> list[MadeInstance]:
    """Write the instances of a plan, and ``manifest.json`` with what a test may compare."""
    made = []
    for place, dataset in make_instances(plan):
        name = f"{place.study:04d}/{place.series:02d}/{place.instance:04d}.dcm"
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(file, enforce_file_format=True)
        made.append(
            MadeInstance(
                file=file,
                study_uid=str(dataset.StudyInstanceUID),
                series_uid=str(dataset.SeriesInstanceUID),
                sop_uid=str(dataset.SOPInstanceUID),
                patient_id=str(dataset.PatientID),
                pixel_sha256=(
                    hashlib.sha256(dataset.PixelData).hexdigest()
                    if "PixelData" in dataset
                    else None
                ),
                place=place,
            )
        )
    manifest = {
        "plan": asdict(plan),
        "instances": [asdict(one) | {"file": str(one.file.relative_to(folder))} for one in made],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return made
