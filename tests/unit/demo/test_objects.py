"""Each kind of instance has what its information object asks for."""

from io import BytesIO

import pytest
from pydicom import dcmread

from harmony.demo.objects import FRAMES, Kind, Place, Subject, make_object, make_uid
from harmony.dicom.uids import is_uid

SUBJECT = Subject(
    number=9,
    charset=("ISO_IR 100",),
    patient_id="DEMO-9",
    name="Démo^Neuf",
    description="Contrôle",
)
IMAGES = (Kind.CT, Kind.MR, Kind.CR, Kind.US)

# Type 1 and 1C, those that are not in every kind. PS3.3 annexes A and C.
REQUIRED = {
    Kind.CT: "ImageType RescaleIntercept RescaleSlope RescaleType FrameOfReferenceUID PixelSpacing "
    "ImageOrientationPatient ImagePositionPatient",
    Kind.MR: "ImageType ScanningSequence SequenceVariant FrameOfReferenceUID PixelSpacing "
    "ImageOrientationPatient ImagePositionPatient",
    Kind.CR: "PhotometricInterpretation",
    Kind.US: "NumberOfFrames FrameIncrementPointer FrameTime",
    Kind.REPORT: "CompletionFlag VerificationFlag ContentDate ContentTime ValueType "
    "ConceptNameCodeSequence ContinuityOfContent ContentSequence",
    Kind.PDF: "ConversionType BurnedInAnnotation MIMETypeOfEncapsulatedDocument "
    "EncapsulatedDocument",
}


def written(kind, instance=1):
    buffer = BytesIO()
    place = Place(series=2, instance=instance, of=5)
    make_object(kind, SUBJECT, place).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def read(kind, instance=1):
    return dcmread(BytesIO(written(kind, instance)))


@pytest.mark.parametrize("kind", Kind)
def test_it_is_read_as_it_was_written(kind):
    dataset = read(kind)
    assert dataset.file_meta.MediaStorageSOPClassUID == dataset.SOPClassUID == kind.sop_class
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert dataset.Modality == kind.modality
    assert (dataset.PatientName, dataset.StudyDescription) == ("Démo^Neuf", "Contrôle")
    assert (dataset.SeriesNumber, dataset.InstanceNumber) == (2, 1)
    assert all(element.VR != "UN" for element in dataset.iterall())


@pytest.mark.parametrize("kind", Kind)
def test_what_its_information_object_requires_has_a_value(kind):
    dataset = read(kind)
    keywords = f"PatientID StudyInstanceUID SeriesInstanceUID Modality {REQUIRED[kind]}".split()
    missing = [keyword for keyword in keywords if dataset.get(keyword, "") in ("", None)]
    assert missing == []


@pytest.mark.parametrize("kind", IMAGES)
def test_pixels_fill_the_picture_and_fit_into_their_bits(kind):
    dataset = read(kind)
    frames = FRAMES if kind is Kind.US else 1
    step = dataset.BitsAllocated // 8
    pixels = dataset.PixelData
    assert len(pixels) == dataset.Rows * dataset.Columns * frames * step
    assert max(pixels[step - 1 :: step]) < 1 << (dataset.BitsStored - 8 * (step - 1))


@pytest.mark.parametrize("kind", Kind)
def test_the_same_instance_has_the_same_bytes_each_time(kind):
    assert written(kind) == written(kind)


def test_slices_of_a_series_share_all_but_their_place():
    first, second = read(Kind.CT, 1), read(Kind.CT, 2)
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert [float(ds.ImagePositionPatient[2]) for ds in (first, second)] == [0, 5]


def test_the_pdf_is_where_its_table_says():
    dataset = read(Kind.PDF)
    document = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
    assert document.startswith(b"%PDF-1.4\n")
    assert document.endswith(b"%%EOF\n")
    table = int(document.split(b"startxref\n")[1].split()[0])
    assert document[table:].startswith(b"xref\n0 6\n")
    for number, line in enumerate(document[table:].split(b"\n")[3:8], 1):
        assert document[int(line[:10]) :].startswith(b"%d 0 obj" % number)


def test_uids_depend_on_their_parts_alone():
    assert make_uid("a", 1) == make_uid("a", 1)
    assert len({make_uid("a", 1), make_uid("a", 2), make_uid("b", 1)}) == 3
    assert is_uid(make_uid("a", 1))
