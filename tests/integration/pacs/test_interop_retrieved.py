"""Objects in many transfer syntaxes out of real PACS by C-GET: byte for byte what they send.

A PACS may write lengths of sequences anew before it sends, so what Harmony's own user receives is
compared with what pynetdicom receives from the same PACS; what `studies` made, with its files.

DCMTK's getscu is no measure here: it proposes several transfer syntaxes in one context, and
Orthanc 1.10.1 then decompresses.
"""

from __future__ import annotations

import sys
import urllib.error
import warnings
from collections import Counter

import pytest
import trio
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context

from harmony.dimse import contexts
from harmony.dimse.link import Proposal
from harmony.envelope import Completion, Key, Level, Query, Root
from tests.support import dimse
from tests.support.dcmqrscp import dcmqrscp
from tests.support.dcmtk import Called, storescu
from tests.support.own_orthanc import own_orthanc
from tests.support.own_user import calling
from tests.support.plain_pynetdicom import as_scp, plain_scu, received
from tests.support.specimens import from_the_wheel, invented, made, table

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 100
# The transfer syntaxes that DCMTK has an option for, by its name.
SYNTAXES = {
    "little": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg8": "1.2.840.10008.1.2.4.50",
    "jpeg12": "1.2.840.10008.1.2.4.51",
    "lossless": "1.2.840.10008.1.2.4.70",
    "jls-lossless": "1.2.840.10008.1.2.4.80",
    "jls-lossy": "1.2.840.10008.1.2.4.81",
    "j2k-lossless": "1.2.840.10008.1.2.4.90",
    "j2k-lossy": "1.2.840.10008.1.2.4.91",
    "mpeg2": "1.2.840.10008.1.2.4.100",
    "mpeg4": "1.2.840.10008.1.2.4.102",
    "hevc": "1.2.840.10008.1.2.4.107",
}


ALMOST_ALL = 0.97  # a few files of the wheel are refused by one PACS or the other
STUDY_ROOT_GET = contexts.GET[Root.STUDY]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with own_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def specimens(tmp_path_factory):
    """Files by transfer syntax: of a study, and each UID but once, as a PACS keeps them."""
    folder = tmp_path_factory.mktemp("specimens")
    encapsulated = [uid for uid in SYNTAXES.values() if uid.startswith("1.2.840.10008.1.2.4.")]
    found = made(folder / "made") + from_the_wheel()
    found += invented(folder / "invented", encapsulated, each=7)
    by_syntax: dict[str, dict] = {syntax: {} for syntax in SYNTAXES.values()}
    for one in found:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is wrong in some files of the wheel
            head = dcmread(one.file, stop_before_pixels=True)
        vague = b"\x08\0\x16\0UN" in one.instance.data  # DCMTK then takes "1.2" for "31\\2e"
        if not vague and head.get("StudyInstanceUID") and head.get("SOPInstanceUID"):
            by_syntax[one.instance.transfer_syntax].setdefault(head.SOPInstanceUID, (one, head))
    return {syntax: list(several.values()) for syntax, several in by_syntax.items()}


def get_by_pynetdicom(called, studies, syntax, classes):
    """What pynetdicom receives on the same contexts."""
    got = []

    def keep(event):
        got.append(received(event))
        return 0

    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.StudyInstanceUID = studies
    proposed = [build_context(STUDY_ROOT_GET, list(contexts.NATIVE))]
    proposed += [build_context(uid, syntax) for uid in classes]
    with plain_scu(
        called.host,
        called.port,
        proposed,
        called=called.aet,
        items=[as_scp(uid) for uid in classes],
        handlers=[(evt.EVT_C_STORE, keep)],
    ) as association:
        answers = [status for status, _ in association.send_c_get(asked, STUDY_ROOT_GET)]
    assert answers[-1].Status == 0, answers[-1]
    return got


async def retrieved(called, several, syntax):
    """How many objects of each transfer syntax come of these: all, and as pynetdicom gets them."""
    studies = sorted({str(head.StudyInstanceUID) for _, head in several})
    classes = list(dict.fromkeys(one.instance.sop_class for one, _ in several))
    query = Query(level=Level.STUDY, root=Root.STUDY, keys=(Key(dimse.STUDY_UID, tuple(studies)),))
    proposals = [Proposal(STUDY_ROOT_GET, contexts.NATIVE)]
    proposals += [Proposal(uid, (syntax,), receive=True) for uid in classes]
    async with calling(called) as user:
        completion, got = await user.get(query, lambda: proposals)
    assert completion is Completion.COMPLETE
    assert {one.sop_instance for one in got} == {head.SOPInstanceUID for _, head in several}
    assert {one.transfer_syntax for one in got} == {syntax}
    wanted = await trio.to_thread.run_sync(get_by_pynetdicom, called, studies, syntax, classes)
    assert Counter(got) == Counter(wanted)
    by_uid = {one.sop_instance: one.data for one in got}
    for one, head in several:
        if head.get("Manufacturer") == "Harmony test generator":
            data = one.instance.data
            assert by_uid[one.instance.sop_instance] == data + b"\0" * (len(data) % 2)
    return Counter(one.transfer_syntax for one in got)


def print_table(capsys, title, arrived):
    with capsys.disabled():
        sys.stdout.write(f"\n{title}\n{table(arrived.elements())}\n")


async def test_dcmqrscp_gives_what_it_has(specimens, tmp_path, capsys):
    arrived: Counter[str] = Counter()
    with trio.fail_after(SECONDS):
        for name, syntax in SYNTAXES.items():
            accept = "--implicit" if name == "implicit" else f"--prefer-{name}"
            options = ("--bit-preserving",)
            with dcmqrscp(tmp_path / name, accept=accept, options=options) as running:
                called = Called(host=running.host, port=running.port, aet=running.ae_title)
                files = [one.file for one, _ in specimens[syntax]]
                done = await storescu(called, files, "--required", f"--propose-{name}")
                taken = [one for one in specimens[syntax] if done.stored().get(one[0].file) == 0]
                arrived += await retrieved(called, taken, syntax)
    assert arrived.total() >= ALMOST_ALL * sum(map(len, specimens.values()))
    print_table(capsys, "dcmqrscp -> own user", arrived)


async def test_orthanc_gives_what_it_has(specimens, orthanc, capsys):
    arrived: Counter[str] = Counter()
    called = Called(host=orthanc.host, port=orthanc.port, aet=orthanc.ae_title)
    with trio.fail_after(SECONDS):
        for syntax, several in specimens.items():
            taken = [one for one in several if loaded(orthanc, one[0].file)]
            arrived += await retrieved(called, taken, syntax)
            orthanc.reset()
    assert arrived.total() >= ALMOST_ALL * sum(map(len, specimens.values()))
    print_table(capsys, "Orthanc -> own user", arrived)


def loaded(orthanc, file):
    """Whether Orthanc takes it: not all files of the wheel are as they should be."""
    try:
        orthanc.load([file])
    except urllib.error.HTTPError as refused:
        refused.close()
        return False
    return True
