"""Instances of each kind: CT, MR, CR, ultrasound, structured report, PDF. PS3.3 annex A."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items

from harmony.demo import pictures
from harmony.demo.pictures import Picture
from harmony.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

FRAMES: Final = 12
_FRAME_MILLISECONDS: Final = 40
_SLICE_MILLIMETRES: Final = 5
_CT_SIZE, _MR_SIZE, _CR_SIZE, _US_SIZE = 256, 192, 384, 128
_FIELD_MILLIMETRES: Final = 384


class Kind(enum.Enum):
    """What an instance is: its modality and its SOP class."""

    CT = ("CT", uid.CTImageStorage)
    MR = ("MR", uid.MRImageStorage)
    CR = ("CR", uid.ComputedRadiographyImageStorage)
    US = ("US", uid.UltrasoundMultiFrameImageStorage)
    REPORT = ("SR", uid.BasicTextSRStorage)
    PDF = ("DOC", uid.EncapsulatedPDFStorage)

    def __init__(self, modality: str, sop_class: uid.UID) -> None:
        self.modality = modality
        self.sop_class = sop_class


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose study it is, and which.

    Attributes:
        number: of the study; every UID and date comes from it.
        charset: Specific Character Set (0008,0005) that the texts are encoded in.
    """

    number: int
    charset: tuple[str, ...]
    patient_id: str
    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which instance of which series, counted from 1.

    Attributes:
        of: instances in the series.
    """

    series: int
    instance: int
    of: int


def make_uid(*parts: object) -> str:
    """A UID that depends on `parts` alone. PS3.5 B.2."""
    digest = hashlib.sha256("/".join(("harmony demo", *map(str, parts))).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def study_uid(number: int) -> str:
    """Study Instance UID of a study."""
    return make_uid("study", number)


def make_object(kind: Kind, subject: Subject, place: Place) -> FileDataset:
    """Make one instance, complete with its file meta information."""
    dataset = _common(kind, subject, place)
    height = (place.instance - 0.5) / place.of
    match kind:
        case Kind.CT:
            _add_ct(dataset, pictures.chest(_CT_SIZE, height), subject, place)
        case Kind.MR:
            _add_mr(dataset, pictures.head(_MR_SIZE, height), subject, place)
        case Kind.CR:
            _add_cr(dataset, pictures.hand(_CR_SIZE))
        case Kind.US:
            frames = [pictures.beat(_US_SIZE, frame / FRAMES) for frame in range(FRAMES)]
            _add_ultrasound(dataset, frames)
        case Kind.REPORT:
            _add_report(dataset, subject.description)
        case Kind.PDF:
            _add_pdf(dataset)
    return dataset


def _common(kind: Kind, subject: Subject, place: Place) -> FileDataset:
    instance_uid = uid.UID(make_uid("instance", subject.number, place.series, place.instance))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind.sop_class
    meta.MediaStorageSOPInstanceUID = instance_uid
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid.UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=bytes(128))
    dataset.SpecificCharacterSet = list(subject.charset)
    dataset.SOPClassUID = kind.sop_class
    dataset.SOPInstanceUID = instance_uid
    dataset.PatientName = subject.name  # PS3.3 C.7.1.1
    dataset.PatientID = subject.patient_id
    dataset.IssuerOfPatientID = "HARMONY DEMO"
    dataset.PatientBirthDate = "19000101"
    dataset.PatientSex = "O"
    dataset.PatientComments = "Invented; nobody has this name, date of birth or illness"
    dataset.StudyInstanceUID = study_uid(subject.number)  # C.7.2.1
    dataset.StudyDate = f"200101{subject.number:02}"
    dataset.StudyTime = f"{8 + subject.number % 10:02}1500"
    dataset.ReferringPhysicianName = "Demo^Doctor"
    dataset.StudyID = f"{subject.number}"
    dataset.AccessionNumber = f"DEMO{subject.number:04}"
    dataset.StudyDescription = subject.description
    dataset.Modality = kind.modality  # C.7.3.1
    dataset.SeriesInstanceUID = make_uid("series", subject.number, place.series)
    dataset.SeriesNumber = place.series
    dataset.SeriesDescription = f"{kind.modality} demo series {place.series}"
    dataset.SeriesDate = dataset.ContentDate = dataset.StudyDate
    dataset.SeriesTime = dataset.ContentTime = dataset.StudyTime
    dataset.Manufacturer = "Harmony demo"  # C.7.5.1
    dataset.InstanceNumber = place.instance
    return dataset


def _add_ct(dataset: FileDataset, picture: Picture, subject: Subject, place: Place) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]  # C.8.2.1
    dataset.AcquisitionNumber = 1
    dataset.KVP = "120"
    dataset.RescaleIntercept, dataset.RescaleSlope = pictures.BACKGROUND_HU, 1
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    _add_plane(dataset, picture, subject, place)
    _add_pixels(dataset, [picture], bits_stored=12)


def _add_mr(dataset: FileDataset, picture: Picture, subject: Subject, place: Place) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]  # C.8.3.1
    dataset.ScanningSequence, dataset.SequenceVariant = "SE", "NONE"
    dataset.ScanOptions, dataset.MRAcquisitionType = "", "2D"
    dataset.RepetitionTime, dataset.EchoTime, dataset.EchoTrainLength = "500", "12", 1
    dataset.WindowCenter, dataset.WindowWidth = 450, 900
    _add_plane(dataset, picture, subject, place)
    _add_pixels(dataset, [picture], bits_stored=12)


def _add_cr(dataset: FileDataset, picture: Picture) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BodyPartExamined, dataset.ViewPosition = "HAND", "PA"  # C.8.1.1
    dataset.Laterality, dataset.PatientOrientation = "L", ["R", "F"]
    dataset.WindowCenter, dataset.WindowWidth = 2000, 4000
    _add_pixels(dataset, [picture], bits_stored=12)


def _add_ultrasound(dataset: FileDataset, frames: Sequence[Picture]) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"]  # C.8.5.6
    dataset.Laterality, dataset.PatientOrientation = "", ""
    dataset.NumberOfFrames = len(frames)
    dataset.FrameTime = f"{_FRAME_MILLISECONDS}"
    dataset.FrameIncrementPointer = 0x00181063  # Frame Time
    _add_pixels(dataset, frames, bits_stored=8)


def _add_plane(dataset: FileDataset, picture: Picture, subject: Subject, place: Place) -> None:
    spacing = f"{_FIELD_MILLIMETRES / picture.size:g}"
    edge = -_FIELD_MILLIMETRES / 2
    height = (place.instance - 1) * _SLICE_MILLIMETRES
    dataset.FrameOfReferenceUID = make_uid("frame", subject.number)  # C.7.4.1
    dataset.PositionReferenceIndicator = ""
    dataset.PatientPosition = "HFS"
    dataset.PixelSpacing = [spacing, spacing]  # C.7.6.2
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [edge, edge, height]
    dataset.SliceThickness = f"{_SLICE_MILLIMETRES}"
    dataset.SliceLocation = f"{height}"


def _add_pixels(dataset: FileDataset, frames: Sequence[Picture], *, bits_stored: int) -> None:
    first = frames[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"  # C.7.6.3
    dataset.Rows = dataset.Columns = first.size
    dataset.BitsAllocated = first.bits
    dataset.BitsStored, dataset.HighBit = bits_stored, bits_stored - 1
    dataset.PixelRepresentation = 0
    pixels = b"".join(frame.encoded() for frame in frames)
    dataset.add_new(0x7FE00010, "OB" if first.bits == 8 else "OW", pixels)


def _add_report(dataset: FileDataset, text: str) -> None:
    finding = Dataset()
    finding.RelationshipType, finding.ValueType = "CONTAINS", "TEXT"
    finding.ConceptNameCodeSequence = _code("121071", "DCM", "Finding")
    finding.TextValue = text
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"  # C.17.2
    dataset.ReferencedPerformedProcedureStepSequence = Items([])
    dataset.PerformedProcedureCodeSequence = Items([])
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"  # C.17.3
    dataset.ConceptNameCodeSequence = _code("18748-4", "LN", "Diagnostic imaging report")
    dataset.ContentSequence = Items([finding])


def _code(value: str, scheme: str, meaning: str) -> Items:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Items([item])


def _add_pdf(dataset: FileDataset) -> None:
    document = _pdf("A demo. There is no such patient.")
    dataset.ConversionType = "WSD"  # C.8.6.1
    dataset.AcquisitionDateTime = f"{dataset.StudyDate}{dataset.StudyTime}"  # C.24.2
    dataset.BurnedInAnnotation = "NO"
    dataset.DocumentTitle = "Demo report"
    dataset.ConceptNameCodeSequence = Items([])
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = document + bytes(len(document) % 2)
    dataset.EncapsulatedDocumentLength = len(document)


def _pdf(text: str) -> bytes:
    """A PDF of one page with one line of text."""
    page = f"BT /F1 18 Tf 30 90 Td ({text}) Tj ET".encode("ascii")
    bodies = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 200]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(page), page),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    document, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(document))
        document += b"%d 0 obj%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count, start = len(bodies) + 1, len(document)
    document += b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, table)
    return document + b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (count, start)
