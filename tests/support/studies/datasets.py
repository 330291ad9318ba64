"""One data set of each kind: CT, MR, ultrasound, secondary capture, PDF, structured report."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID

from tests.support.studies.charsets import UNDECLARED, charset_case
from tests.support.studies.phantom import Phantom, generator

IMPLEMENTATION_UID = UID("2.25.205301411812457259233185034467017293370001")
IMPLEMENTATION_VERSION = "HARMONY_GEN_1"

TRANSFER_SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "bigendian": "1.2.840.10008.1.2.2",
    "rle": "1.2.840.10008.1.2.5",
    "jpegls": "1.2.840.10008.1.2.4.80",  # needs pyjpegls
    "j2k": "1.2.840.10008.1.2.4.90",  # needs pylibjpeg-openjpeg
}
_NATIVE = frozenset({"implicit", "explicit", "deflated", "bigendian"})

_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]"
    b"/Count 1>>endobj 3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n"
)


class Kind(enum.StrEnum):
    """What a study is made of."""

    CT = "ct"
    MR = "mr"
    US = "us"
    SC = "sc"
    PDF = "pdf"
    SR = "sr"

    @property
    def has_pixels(self) -> bool:
        """Whether its instances are images."""
        return self not in (Kind.PDF, Kind.SR)


_SOP_CLASSES = {
    Kind.CT: "1.2.840.10008.5.1.4.1.1.2",
    Kind.MR: "1.2.840.10008.5.1.4.1.1.4",
    Kind.US: "1.2.840.10008.5.1.4.1.1.3.1",
    Kind.SC: "1.2.840.10008.5.1.4.1.1.7",
    Kind.PDF: "1.2.840.10008.5.1.4.1.1.104.1",
    Kind.SR: "1.2.840.10008.5.1.4.1.1.88.11",
}
_MODALITIES = {
    Kind.CT: "CT",
    Kind.MR: "MR",
    Kind.US: "US",
    Kind.SC: "OT",
    Kind.PDF: "DOC",
    Kind.SR: "SR",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which instance of which series of which study, and what kind of study it is."""

    study: int
    series: int
    instance: int
    kind: Kind
    charset: str


def uid(*parts: object) -> str:
    """A UID that depends on `parts` alone."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big') | (1 << 120)}"  # never a leading zero


def make_dataset(
    place: Place,
    *,
    seed: str,
    transfer_syntax: str,
    of_instances: int,
    frames: int,
    private: bool,
    phantom: Phantom | None,
) -> FileDataset:
    """Make one instance, complete with file meta."""
    native = transfer_syntax if transfer_syntax in _NATIVE else "explicit"
    dataset = _base(place, native, seed)
    z = (place.instance + 0.5) / max(of_instances, 1)
    if phantom is not None:
        _add_image(dataset, place, phantom, seed=seed, z=z, frames=frames)
    elif place.kind is Kind.PDF:
        _add_pdf(dataset)
    else:
        _add_report(dataset)
    if private:
        _add_private(dataset, place.study)
    if native != transfer_syntax:
        dataset.compress(UID(TRANSFER_SYNTAXES[transfer_syntax]), generate_instance_uid=False)
    return dataset


def _base(place: Place, native: str, seed: str) -> FileDataset:
    sop_class = UID(_SOP_CLASSES[place.kind])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = UID(uid(seed, "i", place.study, place.series, place.instance))
    meta.TransferSyntaxUID = UID(TRANSFER_SYNTAXES[native])
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=bytes(128))
    implicit, little = native == "implicit", native != "bigendian"
    dataset.set_original_encoding(implicit, little, None)
    case = charset_case(place.charset)
    if place.charset != UNDECLARED and case.specific:
        dataset.SpecificCharacterSet = list(case.specific)
    random = generator(seed, "study", place.study)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = uid(seed, "s", place.study)
    dataset.SeriesInstanceUID = uid(seed, "e", place.study, place.series)
    day = np.datetime64("2015-01-01") + np.timedelta64(int(random.integers(0, 3650)), "D")
    dataset.StudyDate = str(day).replace("-", "")
    dataset.StudyTime = "".join(
        f"{int(random.integers(low, high)):02d}" for low, high in ((6, 20), (0, 60), (0, 60))
    )
    dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = dataset.StudyDate
    time = f"{dataset.StudyTime}.{place.series % 1000:03d}"
    dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = time
    tag = hashlib.sha256(seed.encode()).hexdigest()[:4].upper()
    modality = _MODALITIES[place.kind]
    dataset.AccessionNumber = f"A{tag}{place.study:06d}"
    dataset.Modality = modality
    dataset.Manufacturer = "Harmony test generator"
    dataset.InstitutionName = "Test Hospital"
    dataset.ReferringPhysicianName = "Referrer^Rita"
    dataset.StudyDescription = case.description
    dataset.SeriesDescription = f"{modality} series {place.series + 1}"
    dataset.PatientName = case.patient_name
    dataset.PatientID = f"H{tag}-{place.study:06d}"
    dataset.IssuerOfPatientID = "TEST"
    year, month = 1930 + int(random.integers(0, 80)), int(random.integers(1, 13))
    dataset.PatientBirthDate = f"{year}{month:02d}15"
    dataset.PatientSex = "FMO"[int(random.integers(0, 3))]
    dataset.StudyID = str(place.study + 1)
    dataset.SeriesNumber = place.series + 1
    dataset.InstanceNumber = place.instance + 1
    if place.charset == UNDECLARED:  # bytes as a careless modality writes them
        for keyword, vr, text in (
            ("PatientName", "PN", case.patient_name),
            ("StudyDescription", "LO", case.description),
        ):
            value = text.encode("latin-1")
            value += b" " * (len(value) % 2)
            dataset._dict[Tag(keyword)] = RawDataElement(
                Tag(keyword), vr, len(value), value, 0, implicit, little
            )
    return dataset


def _add_image(
    dataset: FileDataset, place: Place, phantom: Phantom, *, seed: str, z: float, frames: int
) -> None:
    dataset.Laterality = dataset.PatientOrientation = ""
    plane = phantom.slice(z, place.instance)
    match place.kind:
        case Kind.CT:
            _add_geometry(dataset, place, seed=seed, size=plane.shape[0])
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            dataset.KVP, dataset.XRayTubeCurrent = "120", 210
            dataset.ConvolutionKernel = "B30f"
            dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "HU"
            dataset.WindowCenter, dataset.WindowWidth = 40, 400
            _add_pixels(dataset, np.rint(plane).clip(-1024, 3071).astype(np.int16), bits=16)
        case Kind.MR:
            _add_geometry(dataset, place, seed=seed, size=plane.shape[0])
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"]
            dataset.ScanningSequence, dataset.SequenceVariant = "SE", "NONE"
            dataset.ScanOptions, dataset.MRAcquisitionType = "", "2D"
            dataset.EchoTime, dataset.RepetitionTime, dataset.EchoTrainLength = 12, 500, 1
            dataset.MagneticFieldStrength = 1.5
            dataset.WindowCenter, dataset.WindowWidth = 400, 800
            _add_pixels(dataset, np.rint(plane).clip(0, 4095).astype(np.uint16), bits=12)
        case Kind.US:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"]
            dataset.NumberOfFrames, dataset.FrameTime, dataset.CineRate = frames, "40", 25
            dataset.FrameIncrementPointer = 0x00181063
            planes = [phantom.slice((f + 0.5) / frames, f) for f in range(frames)]
            _add_pixels(dataset, _gray(np.stack(planes)), bits=8)
        case _:
            dataset.ConversionType = "WSD"
            _add_pixels(dataset, _gray(plane), bits=8)


def _add_geometry(dataset: FileDataset, place: Place, *, seed: str, size: int) -> None:
    spacing = round(400 / size, 6)
    height = round(-2.5 * place.instance, 3)
    dataset.FrameOfReferenceUID = uid(seed, "f", place.study)
    dataset.PositionReferenceIndicator = ""
    dataset.PixelSpacing, dataset.SliceThickness = [spacing, spacing], 2.5
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [-200, -200, height]
    dataset.SliceLocation, dataset.PatientPosition = height, "HFS"
    dataset.AcquisitionNumber = 1


def _gray(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return ((planes + 1000) / 8).clip(0, 255).astype(np.uint8)


def _add_pixels(
    dataset: FileDataset,
    pixels: npt.NDArray[np.int16] | npt.NDArray[np.uint16] | npt.NDArray[np.uint8],
    *,
    bits: int,
) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    big = dataset.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES["bigendian"]
    data = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    vr = "OB" if pixels.dtype.itemsize == 1 else "OW"
    dataset.add_new(0x7FE00010, vr, data + bytes(len(data) % 2))


def _add_pdf(dataset: FileDataset) -> None:
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "NO"
    dataset.DocumentTitle = "Report"
    dataset.AcquisitionDateTime = dataset.StudyDate + dataset.StudyTime
    dataset.ConceptNameCodeSequence = Sequence([])
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = _PDF + bytes(len(_PDF) % 2)


def _add_report(dataset: FileDataset) -> None:
    finding = Dataset()
    finding.RelationshipType, finding.ValueType = "CONTAINS", "TEXT"
    finding.ConceptNameCodeSequence = _code("121071", "DCM", "Finding")
    finding.TextValue = dataset.StudyDescription
    dataset.ValueType = "CONTAINER"
    dataset.ConceptNameCodeSequence = _code("126000", "DCM", "Imaging Measurement Report")
    dataset.ContinuityOfContent, dataset.CompletionFlag = "SEPARATE", "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PerformedProcedureCodeSequence = Sequence([])
    dataset.ReferencedPerformedProcedureStepSequence = Sequence([])
    dataset.ContentSequence = Sequence([finding])


def _add_private(dataset: FileDataset, study: int) -> None:
    block = dataset.private_block(0x0099, "HARMONY TEST 1.0", create=True)
    block.add_new(0x01, "LO", f"private text {study}")
    block.add_new(0x02, "DS", ["1.5", "-2.25"])
    block.add_new(0x03, "OB", bytes(range(64)))
    block.add_new(0x04, "SQ", _code("T-1", "99HARM", "private item"))


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])
