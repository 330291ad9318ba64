from __future__ import annotations

import functools
import hashlib
import json

import pydicom
import pytest

from tests.support.studies import (
    CHARSETS,
    TRANSFER_SYNTAXES,
    UNDECLARED,
    Kind,
    Plan,
    charset_case,
    make_instances,
    write_studies,
)
from tools.make_studies import main

small = functools.partial(Plan, size=32, frames=2)


def test_same_plan_gives_the_same_bytes(tmp_path):
    plan = small(
        studies=2,
        series=2,
        instances=2,
        kinds=tuple(Kind),
        private=True,
    )
    first = [one.file.read_bytes() for one in write_studies(plan, tmp_path / "a")]
    second = [one.file.read_bytes() for one in write_studies(plan, tmp_path / "b")]
    assert first == second
    assert len(set(first)) == 8


def test_bigger_plan_contains_the_smaller_one():
    few = [
        ds.SOPInstanceUID
        for _, ds in make_instances(
            small(
                instances=2,
            )
        )
    ]
    many = [
        ds.SOPInstanceUID
        for _, ds in make_instances(
            small(
                studies=2,
                instances=3,
            )
        )
    ]
    assert set(few) < set(many)
    assert len(set(many)) == 6


def test_another_seed_gives_other_uids():
    ((_, one),) = make_instances(small())
    ((_, other),) = make_instances(
        small(
            seed="other",
        )
    )
    assert one.StudyInstanceUID != other.StudyInstanceUID
    assert one.PatientID != other.PatientID


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "deflated", "bigendian", "rle"])
def test_pixels_are_the_same_in_every_transfer_syntax(tmp_path, syntax):
    (made,) = write_studies(
        small(
            transfer_syntax=syntax,
        ),
        tmp_path,
    )
    read = pydicom.dcmread(made.file)
    assert read.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax]
    pixels = read.pixel_array
    assert pixels.shape == (32, 32)
    assert -1024 <= pixels.min() < -500  # air
    assert pixels.max() > 100  # bone
    assert made.pixel_sha256 == hashlib.sha256(read.PixelData).hexdigest()


@pytest.mark.parametrize("charset", CHARSETS)
def test_names_come_back_from_every_character_set(tmp_path, charset):
    (made,) = write_studies(
        small(
            charsets=(charset,),
        ),
        tmp_path,
    )
    read = pydicom.dcmread(made.file)
    assert str(read.PatientName) == charset_case(charset).patient_name
    assert read.StudyDescription == charset_case(charset).description


def test_undeclared_latin1_is_in_the_file_as_it_is(tmp_path):
    (made,) = write_studies(
        small(
            charsets=(UNDECLARED,),
        ),
        tmp_path,
    )
    assert "SpecificCharacterSet" not in pydicom.dcmread(made.file)
    assert "Müller^Jürgen".encode("latin-1") in made.file.read_bytes()


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_what_its_modality_promises(tmp_path, kind):
    (made,) = write_studies(
        small(
            kinds=(kind,),
        ),
        tmp_path,
    )
    read = pydicom.dcmread(made.file)
    assert ("PixelData" in read) is kind.has_pixels
    assert read.SOPInstanceUID == made.sop_uid


def test_command_writes_a_manifest(tmp_path, capsys):
    assert main([str(tmp_path), "--studies", "2", "--kind", "ct,sr", "--size", "32"]) == 0
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [one["place"]["kind"] for one in manifest["instances"]] == ["ct", "sr"]
    assert all((tmp_path / one["file"]).exists() for one in manifest["instances"])
    assert capsys.readouterr().out.startswith("2 instances")


@pytest.mark.parametrize("wrong", [["--charset", "klingon"], ["--studies", "0"], ["--kind", "x"]])
def test_command_refuses_what_it_does_not_know(tmp_path, wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), *wrong])
    assert wrong[1] in capsys.readouterr().err
