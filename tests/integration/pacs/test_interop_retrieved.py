"""Objects in many transfer syntaxes out of real PACS by C-GET: byte for byte what they send.

A PACS may write lengths of sequences anew before it sends, so what Harmony's own user receives is
compared with what DCMTK's receives from the same PACS, and what `studies` made with its files.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from collections import Counter
from dataclasses import replace

import pytest
import trio
from pydicom import dcmread

from harmony.dimse import contexts
from harmony.dimse.engines import Engine
from harmony.dimse.link import Proposal
from harmony.dimse.pool import AssociationPool, PoolLimits
from harmony.dimse.target import Target
from harmony.envelope import Completion, Instance, Key, Level, Query, Root
from tests.support import dimse, engines
from tests.support.dcmqrscp import dcmqrscp
from tests.support.dcmtk import STUDY_ROOT, Called, getscu, storescu
from tests.support.pacs.process import ProcessPacs
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


def prefer(name):
    return "--implicit" if name == "implicit" else f"--prefer-{name}"


@pytest.fixture(scope="module")
def specimens(tmp_path_factory):
    """Files by transfer syntax: of a study, and each UID but once, as a PACS keeps them."""
    folder = tmp_path_factory.mktemp("specimens")
    encapsulated = [uid for uid in SYNTAXES.values() if uid.startswith("1.2.840.10008.1.2.4.")]
    found = made(folder / "made") + from_the_wheel()
    found += invented(folder / "invented", encapsulated, each=7)
    by_syntax = {syntax: {} for syntax in SYNTAXES.values()}
    for one in found:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is wrong in some files of the wheel
            head = dcmread(one.file, stop_before_pixels=True)
        if head.get("StudyInstanceUID") and head.get("SOPInstanceUID"):
            by_syntax[one.instance.transfer_syntax].setdefault(head.SOPInstanceUID, (one, head))
    return {syntax: list(several.values()) for syntax, several in by_syntax.items()}


async def get(called, query, proposals):
    """What Harmony's own user is given: outcome, and (UID, syntax, data set) of each object."""
    got = []

    async def read(instance):
        data = b"".join([chunk async for chunk in instance.data])
        got.append((instance.sop_instance_uid, instance.transfer_syntax, data))

    target = Target(aet=called.aet, host=called.host, port=called.port, local_aet="CALLER")
    pool = AssociationPool("peer", target, PoolLimits(), engines.open_link(Engine.TRIO))
    async with pool.run(), trio.open_nursery() as nursery:

        async def take(item):
            if isinstance(item, Instance):
                nursery.start_soon(read, item)

        async with pool.borrow("get", lambda: proposals) as association:
            outcome = await association.get(query, take)
    return outcome, got


async def both(called, name, several, folder):
    """The same objects asked for by DCMTK's user and by our own; equal, or the test fails."""
    syntax = SYNTAXES[name]
    studies = sorted({str(head.StudyInstanceUID) for _, head in several})
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "\\".join(studies)}
    theirs = await getscu(called, STUDY_ROOT, keys, prefer(name), folder=folder)
    sys.stderr.write(f"{name} getscu {theirs.status:x} {theirs.counters}\n")
    wanted = Counter(
        (each.sop_instance_uid, each.transfer_syntax, each.data_set) for each in theirs.received
    )
    query = Query(
        level=Level.STUDY, root=Root.STUDY, keys=(Key(dimse.STUDY_UID, tuple(studies)),)
    )
    classes = dict.fromkeys(one.instance.sop_class for one, _ in several)
    proposals = [Proposal(uid, contexts.NATIVE) for uid in contexts.GET.values()]
    proposals += [Proposal(uid, (syntax,), receive=True) for uid in classes]
    outcome, got = await get(called, query, proposals)
    return outcome, Counter(got), wanted


async def test_dcmqrscp(specimens, tmp_path, capsys):
    arrived = Counter()
    with trio.fail_after(SECONDS):
        for name, syntax in SYNTAXES.items():
            several = specimens[syntax]
            root = tmp_path / name
            with dcmqrscp(root, accept=prefer(name), options=("--bit-preserving",)) as running:
                called = Called(host=running.host, port=running.port, aet=running.ae_title)
                files = [one.file for one, _ in several]
                stored = await storescu(called, files, "--required", f"--propose-{name}")
                outcome, got, wanted = await both(called, name, several, root / "got")
            sys.stderr.write(f"{name} {len(files)} {stored.statuses.count(0)} {outcome.completion} {got.total()} {wanted.total()} {got == wanted}\n")
            arrived += got


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with ProcessPacs(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


async def test_orthanc(specimens, orthanc, tmp_path, capsys):
    arrived = Counter()
    called = Called(host=orthanc.host, port=orthanc.port, aet=orthanc.ae_title)
    with trio.fail_after(SECONDS):
        for name, syntax in SYNTAXES.items():
            several = specimens[syntax]
            n=0
            for one, _ in several:
                try: orthanc.load([one.file]); n+=1
                except Exception as e: sys.stderr.write(f"{one.file} {e}\n")
            outcome, got, wanted = await both(called, name, several, tmp_path / name)
            sys.stderr.write(f"{name} {n}/{len(several)} {outcome.completion} {got.total()} {wanted.total()} {got == wanted}\n")
            arrived += got
            orthanc.reset()
