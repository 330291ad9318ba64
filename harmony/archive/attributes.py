"""The attributes that the index holds, by the level that they belong to. PS3.4 C.3, C.6.

A column is called by the DICOM keyword. Values stand there as they are told in answers; where
that is no form to compare in, a second column beside it holds one (`Attribute.compared`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from harmony.envelope import Level

TABLES: Final[Mapping[Level, str]] = MappingProxyType(
    {
        Level.PATIENT: "patient",
        Level.STUDY: "study",
        Level.SERIES: "series",
        Level.IMAGE: "instance",
    }
)
LEVELS: Final = tuple(TABLES)

_KEYWORDS: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.PATIENT: (
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientBirthTime",
        "PatientSex",
        "OtherPatientIDs",
        "OtherPatientNames",
        "EthnicGroup",
    ),
    Level.STUDY: (
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "StudyID",
        "StudyDescription",
        "ReferringPhysicianName",
        "NameOfPhysiciansReadingStudy",
        "AdmittingDiagnosesDescription",
        "PatientAge",
        "Occupation",
    ),
    Level.SERIES: (
        "SeriesInstanceUID",
        "Modality",
        "SeriesNumber",
        "SeriesDate",
        "SeriesTime",
        "SeriesDescription",
        "BodyPartExamined",
        "Laterality",
        "ProtocolName",
        "PatientPosition",
        "PerformingPhysicianName",
        "OperatorsName",
        "Manufacturer",
        "ManufacturerModelName",
        "InstitutionName",
        "InstitutionalDepartmentName",
        "StationName",
        "FrameOfReferenceUID",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "PerformedProcedureStepID",
        "PerformedProcedureStepDescription",
    ),
    Level.IMAGE: (
        "SOPInstanceUID",
        "SOPClassUID",
        "InstanceNumber",
        "InstanceCreationDate",
        "InstanceCreationTime",
        "ImageType",
        "AcquisitionNumber",
        "AcquisitionDate",
        "AcquisitionTime",
        "AcquisitionDateTime",
        "ContentDate",
        "ContentTime",
        "PhotometricInterpretation",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "CompletionFlag",
        "VerificationFlag",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute of the index.

    Attributes:
        column: where its value stands, as text; empty if it is unknown.
        compared: where the form stands that keys are compared with; may be `column`.
        several: whether it may have several values.
    """

    tag: int
    vr: str
    level: Level
    column: str
    compared: str
    several: bool


def _attribute(keyword: str, level: Level) -> Attribute:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    vr = dictionary_VR(tag)
    several = dictionary_VM(tag) != "1"
    apart = several or vr in ("PN", "DT")
    return Attribute(
        tag=tag,
        vr=vr,
        level=level,
        column=keyword,
        compared=f"{keyword}_compared" if apart else keyword,
        several=several,
    )


ATTRIBUTES: Final[Mapping[int, Attribute]] = MappingProxyType(
    {
        attribute.tag: attribute
        for level, keywords in _KEYWORDS.items()
        for attribute in (_attribute(keyword, level) for keyword in keywords)
    }
)
LAST_TAG: Final = max(ATTRIBUTES)


def of_level(level: Level) -> tuple[Attribute, ...]:
    """The attributes of one table, in the order of its columns."""
    return tuple(each for each in ATTRIBUTES.values() if each.level is level)
