"""The benchmark counts what came, compares like with like, and sends what nobody has yet."""

from __future__ import annotations

import io
import math
import os
import sys
from io import BytesIO

import pydicom
import pytest
from pydicom.filereader import read_dataset

from tools.bench import __main__ as bench
from tools.bench import fast_scp, goals, objects, own_caller, timing
from tools.bench.commands import run_all
from tools.bench.goals import Measure, Score
from tools.bench.losing import Tally
from tools.bench.processes import Process
from tools.bench.raw_find import images_of
from tools.bench.raw_http import read_answer, request
from tools.bench.series import Series, Shelf
from tools.bench.timing import Case, Cell, Entry, Sample, Unit

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


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
        (Unit.MILLISECONDS_EACH, 1, cell(0.5, due=50), "10.000 ms (0.1x)"),
        (Unit.OBJECTS, 1, cell(0.5, due=50), "100 objects/s (0.1x)"),
        (Unit.REQUESTS, 1, cell(0.5, due=50), "100 requests/s (0.1x)"),
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


def test_others_that_fail_are_told_and_counted_as_short(capsys):
    def fails():
        raise RuntimeError("refused")

    ours = Contender(Sample(0.1, 1))
    entries = (ours.entry("ours"), Entry(name="theirs", run=fails, due=1))
    _, theirs = timing.time_case(case(*entries), rounds=2)
    assert (theirs.short, list(theirs.seconds)) == (3, [])
    assert "case: theirs: refused" in capsys.readouterr().err


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
    assert "no such part: stoer; there are http, dicomweb, call," in capsys.readouterr().err


# Goals


def test_a_goal_against_another_is_about_as_much_of_the_same():
    entries = (
        Contender(Sample(0.1, 10)).entry("ours", 10),
        Entry(name="theirs", run=Contender(Sample(0.2, 5)), due=5, goal=3),
        Entry(name="others", run=Contender(Sample(0.1, 10)), due=10),
    )
    found = Case(title="short", row="the row", entries=entries)
    cells = [cell(0.1, due=10), cell(0.2, due=5), cell(0.1, due=10)]
    (score,) = timing.scores_of(found, cells)
    assert (score.row, score.against, score.goal) == ("the row", "theirs", 3)
    assert score.reached == pytest.approx(4)
    assert score.is_met


def test_a_goal_for_ourselves_is_about_each_of_what_was_due():
    found = Case(title="echo", entries=[Contender(Sample(1, 1)).entry("ours")], most=0.2)
    (score,) = timing.scores_of(found, [cell(0.03, due=100)])
    assert score.reached == pytest.approx(0.3)
    assert not score.is_met


@pytest.mark.parametrize(
    ("measure", "goal", "reached", "shown"),
    [
        (Measure.TIMES, 8, 9.4, ">= 8x 9.40x met"),
        (Measure.TIMES, 8, 7.9, ">= 8x 7.90x NOT MET"),
        (Measure.TIMES, 8, float("nan"), ">= 8x - NOT MET"),
        (Measure.PERCENT, 1, 0.2, "<= 1 % 0.20 % met"),
        (Measure.MIB, 32, 40.4, "<= 32 MiB 40 MiB NOT MET"),
        (Measure.COUNT, 0, 0, "<= 0 0 met"),
        (Measure.COUNT, 0, 1, "<= 0 1 NOT MET"),
        (Measure.MILLISECONDS, 100, float("nan"), "<= 100 ms - NOT MET"),
    ],
)
def test_a_score_tells_what_was_wanted_and_what_was_reached(measure, goal, reached, shown):
    score = Score(row="row", against="them", measure=measure, goal=goal, reached=reached)
    assert score.line().split() == ["row", "them", *shown.split()]


def test_all_goals_are_counted_at_the_end(capsys):
    goals.print_scores([Score(row=row, goal=2, reached=int(row)) for row in "123"])
    assert "Goals: 2 of 3 met" in capsys.readouterr().out


def test_a_find_is_whole_missing_or_failed():
    tally = Tally(seconds=0.5)
    for success, whole in ((True, True), (True, False), (False, True), (False, False)):
        tally.count(is_success=success, is_whole=whole)
    assert (tally.whole, tally.missing, tally.failed) == (1, 1, 2)
    assert tally.rate == 8


# The fast SCP


@pytest.mark.parametrize(("syntax", "implicit"), [(IMPLICIT, True), (EXPLICIT, False)])
def test_the_fast_scp_has_as_many_matches_as_the_patient_id_says(syntax, implicit):
    rows = fast_scp.matches("M12", 12, syntax)
    read = [read_dataset(BytesIO(row), implicit, True) for row in rows]
    assert len({dataset.StudyInstanceUID for dataset in read}) == 12
    assert len({*map(len, rows)}) == 1
    asked = {key.tag for key in own_caller.studies_of("M12").keys} | {0x00080052}
    for dataset in read:
        assert dataset.PatientID == "M12"
        assert {int(element.tag) for element in dataset} == asked


@pytest.mark.parametrize(
    ("patient", "count"), [("M1", 1), ("M20 ", 20), ("P7", 0), ("M", 0), ("M-1", 0), ("", 0)]
)
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_the_fast_scp_reads_the_patient_id(patient, count, syntax):
    value = patient.encode() + b" " * (len(patient) % 2)
    length = len(value).to_bytes(2, "little")
    tag = b"\x10\0\x20\0"
    identifier = b"\x08\0\x52\0\x02\0\0\0AB" + tag
    identifier += length + b"\0\0" + value if syntax == IMPLICIT else b"LO" + length + value
    assert fast_scp.patient_in(identifier, syntax) == (patient.strip(), count)


def test_what_was_stored_can_be_read_while_it_is_counted(tmp_path):
    counter = fast_scp.Counter(tmp_path / "stored")
    for _ in range(300):
        counter.add()
    assert fast_scp.counted(tmp_path / "stored") == 300


# HTTP


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200),
        (b"HTTP/1.1 503 Busy\r\ncontent-length:0\r\n\r\n", 503),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n"
            b"0123456789\r\n0\r\n\r\n",
            200,
        ),
    ],
)
def test_an_http_answer_is_read_to_its_end(answer, status):
    stream = io.BytesIO(answer + b"HTTP/1.1 next")
    assert read_answer(stream) == status
    assert stream.read() == b"HTTP/1.1 next"


def test_an_http_answer_that_stops_is_no_answer():
    with pytest.raises(ConnectionError):
        read_answer(io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-"))


def test_a_request_tells_its_length():
    assert request("/find", b"{}").endswith(b"Content-Length: 2\r\n\r\n{}")


# Data, processes


def test_a_patient_has_as_many_studies_as_its_id_says(tmp_path):
    shelf = Shelf(tmp_path)
    patient = shelf.patient(3)
    read = [pydicom.dcmread(file) for file in patient.folder.iterdir()]
    assert {dataset.PatientID for dataset in read} == {patient.id} == {"M3"}
    assert len({dataset.StudyInstanceUID for dataset in read}) == 3
    assert shelf.patient(3) is patient


def test_an_object_gives_the_data_set_of_its_file(tmp_path):
    supply = objects.Supply(folder=tmp_path / "objects", template=objects.make_template(64))
    for each in supply.objects(3):
        dataset = read_dataset(BytesIO(each.data_set()), False, True)
        assert dataset.SOPInstanceUID == each.uid
        assert dataset == pydicom.dcmread(each.file)


def test_a_process_tells_what_it_holds(tmp_path):
    process = Process(os.getpid())
    before = process.descriptors()
    with (tmp_path / "file").open("w"):
        assert process.descriptors() == before + 1
    assert process.threads() >= 1
    assert process.peak_memory() >= process.memory() > 1_000_000
    assert process.cpu_seconds() > 0
    assert process.waits() >= 0
