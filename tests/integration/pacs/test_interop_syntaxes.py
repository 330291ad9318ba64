"""Objects in every transfer syntax, through Harmony in both roles: byte for byte what was sent.

What goes in by C-STORE comes out at a provider that keeps bytes; what real PACS hold comes by
C-GET. The tables that these tests print say how many objects there were in which syntax.
"""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest
import trio
from pynetdicom.presentation import build_context

from harmony.dimse.engines import Engine
from harmony.dimse.storage import known_transfer_syntaxes
from tests.support.bad_pacs import instance_from_file
from tests.support.dcmtk import Called, storescu
from tests.support.deployment import backend, deployed, pipeline, table
from tests.support.own_user import calling
from tests.support.plain_pynetdicom import plain_scp, plain_scu, send_files
from tests.support.specimens import from_the_wheel, invented, made
from tests.support.specimens import table as counted
from tests.support.storescp import storescp

pytestmark = pytest.mark.usefixtures("dcmtk")

SECONDS = 100
HERE = "127.0.0.1"
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
MANY = 100  # associations of one caller
NOT_SUPPORTED = 0x0122
STORESCP = ("--unique-filenames", "--promiscuous")
# What storescp of DCMTK 3.6.7 takes with --accept-all; and it takes no colour palettes, which
# are no objects of a patient.
DCMTK = NATIVE | {
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.5",
    *(
        f"1.2.840.10008.1.2.4.{n}"
        for n in (50, 51, 70, 80, 81, 90, 91, 100, 101, 102, 103, 104, 105, 106, 107, 108)
    ),
}
COLOUR_PALETTE = "1.2.840.10008.5.1.4.39.1"


def is_known_to_dcmtk(one):
    return one.instance.transfer_syntax in DCMTK and one.instance.sop_class != COLOUR_PALETTE


@pytest.fixture(scope="module")
def specimens(tmp_path_factory):
    """At least 500 objects, and some in each transfer syntax of PS3.5."""
    folder = tmp_path_factory.mktemp("specimens")
    found = from_the_wheel() + made(folder / "made")
    found += invented(folder / "invented", sorted(known_transfer_syntaxes() - NATIVE), each=7)
    assert {one.instance.transfer_syntax for one in found} == known_transfer_syntaxes()
    assert len(found) >= 500
    return found


def print_table(capsys, title, arrived):
    syntaxes = [syntax for _, _, syntax, _ in arrived.elements()]
    with capsys.disabled():
        sys.stdout.write(f"\n{title}\n{counted(syntaxes)}\n")


def relay(port, aet):
    """Text of a configuration: an endpoint, and a provider behind it; both on the trio engine."""
    called = Called(host=HERE, port=port, aet=aet)
    return (
        pipeline("relay", ["scp"], ["sink"])
        + table(
            "endpoints.scp",
            "dicom",
            local_aet="HARMONY",
            port=0,
            engine=Engine.TRIO,
            max_associations=MANY,
            max_associations_per_aet=MANY,
            max_connections_per_address=MANY,
        )
        + backend("sink", called, engine=Engine.TRIO)
    )


async def send(specimens, called):
    """C-STORE them with Harmony's own user; the statuses."""
    async with calling(called) as user:
        return await user.store(one.instance for one in specimens)


def kind(one):
    return one.instance.sop_class, one.instance.transfer_syntax


def kinds(specimens):
    """Each SOP class and transfer syntax that there is among them."""
    return list(dict.fromkeys(map(kind, specimens)))


def instances(specimens):
    """As they arrive: a deflated data set is padded to an even length. PS3.5 A.5."""
    return Counter(
        (
            one.instance.sop_class,
            one.instance.sop_instance,
            one.instance.transfer_syntax,
            one.instance.data + b"\0" * (len(one.instance.data) % 2),
        )
        for one in specimens
    )


def kept(instances):
    return Counter(
        (each.sop_class, each.sop_instance, each.transfer_syntax, each.data) for each in instances
    )


def files_of(scp):
    return kept(instance_from_file(file) for file in scp.files())


async def test_own_user_to_relay_to_pynetdicom(specimens, tmp_path, capsys):
    # The endpoint takes no deflated data sets: what is in them could not be looked at.
    sent = [one for one in specimens if not one.is_deflated]
    with trio.fail_after(SECONDS), plain_scp(kinds(sent)) as sink:
        async with deployed(tmp_path / "h", relay(sink.port, sink.aet)) as running:
            statuses = await send(sent, running.called("scp", "HARMONY"))
    assert statuses == [0] * len(sent)
    assert kept(sink.stored) == instances(sent)
    print_table(capsys, "own user -> relay -> pynetdicom", instances(sent))


async def test_eight_own_users_at_once_to_relay_to_pynetdicom(specimens, tmp_path):
    sent = [one for one in specimens if not one.is_deflated]
    statuses = []

    async def send_some(some, called):
        statuses.extend(await send(some, called))

    with trio.fail_after(SECONDS), plain_scp(kinds(sent)) as sink:
        async with deployed(tmp_path / "h", relay(sink.port, sink.aet)) as running:
            async with trio.open_nursery() as nursery:
                for number in range(8):
                    called = running.called("scp", "HARMONY")
                    nursery.start_soon(send_some, sent[number::8], called)
    assert statuses == [0] * len(sent)
    assert kept(sink.stored) == instances(sent)


async def test_pynetdicom_to_relay_to_storescp(specimens, tmp_path, capsys):
    sent = [one for one in specimens if not one.is_deflated]
    known = [one for one in sent if is_known_to_dcmtk(one)]
    results: dict = {}

    def talk(called):
        wanted = kinds(sent)
        while wanted:
            some, wanted = wanted[:128], wanted[128:]
            contexts = [build_context(uid, syntax) for uid, syntax in some]
            files = [one.file for one in sent if kind(one) in some]
            with plain_scu(called.host, called.port, contexts) as association:
                results.update(zip(files, send_files(association, files), strict=True))

    with trio.fail_after(SECONDS), storescp(tmp_path / "sink", options=STORESCP) as sink:
        async with deployed(tmp_path / "h", relay(sink.port, sink.ae_title)) as running:
            await trio.to_thread.run_sync(talk, running.called("scp", "HARMONY"))
        assert results == {one.file: 0 if is_known_to_dcmtk(one) else NOT_SUPPORTED for one in sent}
        assert files_of(sink) == instances(known)
    print_table(capsys, "pynetdicom -> relay -> storescp", instances(known))


async def test_own_user_to_storescp(specimens, tmp_path, capsys):
    known = [one for one in specimens if is_known_to_dcmtk(one)]
    with trio.fail_after(SECONDS), storescp(tmp_path / "sink", options=STORESCP) as sink:
        called = Called(host=HERE, port=sink.port, aet=sink.ae_title)
        statuses = await send(specimens, called)
        assert statuses == [0 if is_known_to_dcmtk(one) else NOT_SUPPORTED for one in specimens]
        assert files_of(sink) == instances(known)
    print_table(capsys, "own user -> storescp", instances(known))


async def test_own_user_to_pynetdicom_deflated(specimens, capsys):
    deflated = [one for one in specimens if one.is_deflated]
    with trio.fail_after(SECONDS), plain_scp(kinds(deflated)) as plain:
        called = Called(host=HERE, port=plain.port, aet=plain.aet)
        assert await send(deflated, called) == [0] * len(deflated)
    assert kept(plain.stored) == instances(deflated)
    print_table(capsys, "own user -> pynetdicom", instances(deflated))


# storescu writes lengths of sequences anew, and dcmsend too, so what they bring by way of Harmony
# is compared with what they bring by themselves. They read SOP class and instance in the data
# set, not in the file's meta information; where its VR is UN, dcmsend takes "1.2" for "31\\2e".

DAMAGED = 5  # at most so many files of the wheel can DCMTK itself not send
PROPOSALS = {
    "--propose-little": "1.2.840.10008.1.2.1",
    "--propose-implicit": "1.2.840.10008.1.2",
    "--propose-big": "1.2.840.10008.1.2.2",
    "--propose-rle": "1.2.840.10008.1.2.5",
    "--propose-jpeg8": "1.2.840.10008.1.2.4.50",
    "--propose-jpeg12": "1.2.840.10008.1.2.4.51",
    "--propose-lossless": "1.2.840.10008.1.2.4.70",
    "--propose-jls-lossless": "1.2.840.10008.1.2.4.80",
    "--propose-jls-lossy": "1.2.840.10008.1.2.4.81",
    "--propose-j2k-lossless": "1.2.840.10008.1.2.4.90",
    "--propose-j2k-lossy": "1.2.840.10008.1.2.4.91",
    "--propose-mpeg2": "1.2.840.10008.1.2.4.100",
    "--propose-mpeg4": "1.2.840.10008.1.2.4.102",
    "--propose-hevc": "1.2.840.10008.1.2.4.107",
}


def sent_by_dcmtk(specimens):
    return [
        one
        for one in specimens
        if is_known_to_dcmtk(one)
        and one.instance.transfer_syntax in PROPOSALS.values()
        and one.instance.sop_class.encode() in one.instance.data
        and b"\x08\0\x16\0UN" not in one.instance.data
    ]


def emptied(scp):
    """What has arrived; the folder is empty again."""
    found = files_of(scp)
    for file in scp.files():
        file.unlink()
    return found


async def test_storescu_to_relay_to_storescp(specimens, tmp_path, capsys):
    sent = sent_by_dcmtk(specimens)
    passed: Counter = Counter()
    with trio.fail_after(SECONDS), storescp(tmp_path / "sink", options=STORESCP) as sink:
        direct = Called(host=HERE, port=sink.port, aet=sink.ae_title)
        async with deployed(tmp_path / "h", relay(sink.port, sink.ae_title)) as running:
            harmony = running.called("scp", "HARMONY")
            for option, syntax in PROPOSALS.items():
                files = [one.file for one in sent if one.instance.transfer_syntax == syntax]
                wanted = await storescu(direct, files, "--required", option)
                by_itself = emptied(sink)
                done = await storescu(harmony, files, "--required", option)
                assert done.statuses == wanted.statuses, option
                assert emptied(sink) == by_itself, option
                assert by_itself.total() == wanted.statuses.count(0) > 0, option
                passed += by_itself
    assert passed.total() >= len(sent) - DAMAGED
    print_table(capsys, "storescu -> relay -> storescp", passed)


async def test_dcmsend_to_relay_to_storescp(specimens, tmp_path, capsys):
    sent = sent_by_dcmtk(specimens)
    with trio.fail_after(SECONDS), storescp(tmp_path / "sink", options=STORESCP) as sink:
        direct = Called(host=HERE, port=sink.port, aet=sink.ae_title)
        async with deployed(tmp_path / "h", relay(sink.port, sink.ae_title)) as running:
            await dcmsend(direct, [one.file for one in sent])
            by_itself = emptied(sink)
            await dcmsend(running.called("scp", "HARMONY"), [one.file for one in sent])
            assert emptied(sink) == by_itself
    assert by_itself.total() >= len(sent) - DAMAGED
    print_table(capsys, "dcmsend -> relay -> storescp", by_itself)


async def dcmsend(called, files):
    """C-STORE of files in whatever transfer syntax they have, each proposed."""
    command = ["dcmsend", "--decompress-never", "--no-uid-checks", "--no-halt"]
    command += ["--call", called.aet, "--aetitle", called.calling, called.host, str(called.port)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    await trio.run_process(
        [*command, *map(str, files)],
        env=environment,
        check=False,
        capture_stdout=True,
        capture_stderr=True,
    )
