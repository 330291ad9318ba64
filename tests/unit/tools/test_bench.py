"""The benchmark counts what came, compares like with like, and sends what nobody has yet."""

from __future__ import annotations

import math
import sys
from io import BytesIO

import pydicom
import pytest
from pydicom.filereader import read_dataset

from tools.bench import __main__ as bench
from tools.bench import objects, timing
from tools.bench.commands import run_all
from tools.bench.raw_find import images_of
from tools.bench.series import Series
from tools.bench.timing import Case, Cell, Entry, Sample, Unit


def cell(*seconds, short=0, due=1):
    return Cell(seconds=seconds, short=short, due=due)


def case(*entries, unit=Unit.MILLISECONDS, weight=1):
    return Case(title="case", entries=entries, unit=unit, weight=weight)


class Contender:
    """Gives samples in turn."""

    def __init__(self, *samples):
        self._samples = list(samples)
        self.runs = 0

    def entry(self, name, due=1):
        return Entry(name=name, run=self, due=due)

    def __call__(self):
        self.runs += 1
        return self._samples.pop(0) if len(self._samples) > 1 else self._samples[0]


@pytest.mark.parametrize(
    ("unit", "weight", "theirs", "shown"),
    [
        (Unit.MILLISECONDS, 1, cell(0.2), "200.0 ms (2.0x)"),
        (Unit.OBJECTS, 1, cell(0.5, due=50), "100 objects/s (0.1x)"),
        (Unit.MEGABYTES, 10_000_000, cell(0.5, due=2), "40 MB/s (2.5x)"),
        (Unit.MILLISECONDS, 1, cell(0.1, short=3), "100.0 ms (1.0x) [3 short]"),
        (Unit.MILLISECONDS, 1, cell(short=3), "nan ms (nanx) [3 short]"),
    ],
)
def test_a_cell_shows_the_median_and_how_many_times_as_long_for_as_much(
    unit, weight, theirs, shown
):
    assert timing.text(case(unit=unit, weight=weight), theirs, cell(0.1)) == shown


def test_ours_shows_no_ratio():
    ours = cell(0.1, 0.3, 0.2)
    assert timing.text(case(), ours, ours) == "200.0 ms"


def test_the_first_round_warms_up():
    contender = Contender(Sample(1.0, 1), Sample(0.1, 1))
    (ours,) = timing.time_case(case(contender.entry("ours")), rounds=3)
    assert ours.seconds == [0.1, 0.1, 0.1]


def test_the_first_round_of_a_very_slow_contender_counts_and_is_its_only_one():
    slow = Contender(Sample(timing.CELL_SECONDS + 1, 1))
    quick = Contender(Sample(0.1, 1))
    _, theirs = timing.time_case(case(quick.entry("ours"), slow.entry("slow")), rounds=5)
    assert (slow.runs, quick.runs, theirs.seconds) == (1, 6, [timing.CELL_SECONDS + 1])


def test_rounds_in_which_others_get_too_little_are_told_and_not_timed():
    ours, lossy = Contender(Sample(0.1, 7)), Contender(Sample(0.01, 6))
    _, theirs = timing.time_case(case(ours.entry("ours", 7), lossy.entry("lossy", 7)), rounds=2)
    assert theirs.short == 3
    assert math.isnan(theirs.median)


def test_ours_getting_too_little_ends_the_benchmark():
    with pytest.raises(SystemExit, match="ours got 6 of 7"):
        timing.time_case(case(Contender(Sample(0.1, 6)).entry("ours", 7)), rounds=1)


def test_each_batch_holds_new_objects_spread_over_its_folders(tmp_path):
    supply = objects.Supply(folder=tmp_path / "objects", template=objects.make_template(64))
    seen = set()
    for _ in range(2):
        folders = supply.batch(5, shares=2)
        assert [len(list(folder.iterdir())) for folder in folders] == [3, 2]
        for file in (tmp_path / "objects").rglob("*.dcm"):
            dataset = pydicom.dcmread(file)
            assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
            assert file.stat().st_size == supply.object_bytes
            seen.add(dataset.SOPInstanceUID)
    assert len(seen) == 10


def test_a_large_object_has_the_pixels_that_it_claims():
    dataset = pydicom.dcmread(BytesIO(objects.make_template(600).data))
    assert len(dataset.PixelData) == dataset.Rows * dataset.Columns * 2 == 600 * 600 * 2


def test_the_identifier_asks_for_the_images_of_a_series(tmp_path):
    series = Series(
        study_uid="1.2.3", series_uid="1.2.3.45", instances=1, pixel_bytes=2, folder=tmp_path
    )
    found = read_dataset(BytesIO(images_of(series)), is_implicit_VR=True, is_little_endian=True)
    assert {element.keyword: element.value or "" for element in found} == {
        "SOPClassUID": "",
        "SOPInstanceUID": "",
        "QueryRetrieveLevel": "IMAGE",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.45",
        "InstanceNumber": "",
    }


def test_a_command_that_fails_says_why():
    fails = (sys.executable, "-c", "import sys; print('no such peer'); sys.exit(3)")
    with pytest.raises(RuntimeError, match="ended with 3: no such peer"):
        run_all([(sys.executable, "-c", ""), fails], nodelay=False)


def test_only_who_shall_send_at_once_is_told_so(monkeypatch):
    monkeypatch.setenv("TCP_NODELAY", "1")
    probe = "import os, sys; sys.exit('TCP_NODELAY' in os.environ)"
    run_all([(sys.executable, "-c", probe)], nodelay=False)
    with pytest.raises(RuntimeError, match="ended with 1"):
        run_all([(sys.executable, "-c", probe)], nodelay=True)


def test_a_part_that_there_is_not_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        bench.main(["stoer"])
    assert "no such part: stoer; there are ask, store, relay, find" in capsys.readouterr().err
