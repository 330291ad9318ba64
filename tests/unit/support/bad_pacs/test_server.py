"""The bad PACS, seen by pynetdicom and, where that would wait for ever, by a plain socket."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.sop_class import (
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.support.bad_pacs import (
    Abort,
    Accept,
    BadPacs,
    Close,
    Counters,
    End,
    Final,
    Forged,
    Freeze,
    Part,
    Pause,
    Reject,
    ReleaseRequest,
    Reset,
    Rows,
    Script,
    SendInstances,
    Silence,
    Slow,
    Stare,
    bad_pacs,
    broken_command_set,
    broken_identifier,
    command,
    counting,
    full_backlog,
    garbage,
    huge_pdu,
    instance_from_dataset,
    instance_from_file,
    pdu,
    unknown_pdu,
)
from tests.support.bad_pacs.command import Field, Tag
from tests.support.leak_watch import assert_nothing_left, snapshot
from tests.unit.support.bad_pacs.test_pdu import association_request

FIND = PatientRootQueryRetrieveInformationModelFind
GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove


@pytest.fixture(autouse=True)
def _leak_watch(leak_watch):
    """Each of these uses sockets and threads."""


def row(number: int) -> Dataset:
    answer = Dataset()
    answer.QueryRetrieveLevel = "PATIENT"
    answer.PatientID = f"P{number}"
    return answer


def query() -> Dataset:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "PATIENT"
    wanted.PatientID = ""
    return wanted


def ct(number: int) -> FileDataset:
    image = FileDataset("", Dataset(), preamble=b"\0" * 128)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    image.InstanceNumber = number
    image.BitsAllocated = 16
    image.PixelData = np.arange(100_000, dtype=np.uint16).tobytes()
    image["PixelData"].VR = "OW"
    return image


@contextlib.contextmanager
def associated(peer: BadPacs, *handlers: evt.EventHandlerType) -> Iterator[Association]:
    client = AE("CLIENT")
    client.acse_timeout = client.dimse_timeout = client.network_timeout = 10
    client.add_requested_context(Verification)
    client.add_requested_context(FIND, ExplicitVRLittleEndian)
    client.add_requested_context(GET, ExplicitVRLittleEndian)
    client.add_requested_context(MOVE, ExplicitVRLittleEndian)
    client.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = client.associate(
        "127.0.0.1",
        peer.port,
        ae_title="PACS",
        ext_neg=[build_role(CTImageStorage, scp_role=True, scu_role=True)],
        evt_handlers=list(handlers),
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        if association.ident is not None:  # its thread starts once it is accepted
            association.join(10)


def statuses(responses) -> list[int | None]:
    return [getattr(status, "Status", None) for status, _ in responses]


@contextlib.contextmanager
def plain_client(peer: BadPacs) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", peer.port), timeout=5) as sock:
        yield sock


def everything(sock: socket.socket) -> bytes:
    received = b""
    while chunk := sock.recv(65536):
        received += chunk
    return received


def read_pdu(sock: socket.socket) -> bytes:
    head = sock.recv(6, socket.MSG_WAITALL)
    return head + sock.recv(struct.unpack(">BxI", head)[1], socket.MSG_WAITALL)


def ask_echo(sock: socket.socket) -> None:
    """Associate, with one context for Verification, and send a C-ECHO-RQ."""
    sock.sendall(association_request())
    assert read_pdu(sock)[0] == 2
    echo = command.encode(
        {
            Tag.AFFECTED_SOP_CLASS: Verification,
            Tag.COMMAND_FIELD: Field.C_ECHO_RQ,
            Tag.MESSAGE_ID: 1,
            Tag.DATA_SET_TYPE: command.NO_DATA_SET,
        }
    )
    sock.sendall(b"".join(pdu.data_pdus(1, echo, is_command=True, max_length=0)))


# The well-behaved peer


def test_echo_is_answered_and_recorded():
    with bad_pacs() as peer:
        with associated(peer) as association:
            assert association.send_c_echo().Status == 0x0000
        (request,) = peer.requests
        assert (request.kind, request.message_id, request.connection) == ("C-ECHO-RQ", 1, 0)
        (connection,) = peer.connections
        assert (connection.calling_ae_title, connection.called_ae_title) == ("CLIENT", "PACS")
        peer.record.wait_until(lambda: connection.end is End.RELEASED)


def test_find_brings_all_rows_then_success():
    with bad_pacs(Script(find=(Rows([row(i) for i in range(2000)]), Final()))) as peer:
        with associated(peer) as association:
            answers = list(association.send_c_find(query(), FIND))
        assert [answer.PatientID for _, answer in answers[:-1]] == [f"P{i}" for i in range(2000)]
        assert answers[-1][0].Status == 0x0000
        assert b"PATIENT" in (peer.requests[0].data or b"")


def test_plan_may_depend_on_the_request():
    def plan(request):
        return (Rows([row(request.message_id)]), Final())

    with bad_pacs(Script(find=plan)) as peer, associated(peer) as association:
        for number in (41, 42):
            (_, first), *_ = association.send_c_find(query(), FIND, msg_id=number)
            assert first.PatientID == f"P{number}"


def test_find_is_cancelled():
    script = Script(find=(Rows([row(i) for i in range(1000)], delay=0.02), Final()))
    with bad_pacs(script) as peer, associated(peer) as association:
        seen = []
        for status, _ in association.send_c_find(query(), FIND, msg_id=5):
            seen.append(status.Status)
            if len(seen) == 2:
                association.send_c_cancel(5, query_model=FIND)
        assert seen[-1] == 0xFE00
        assert len(seen) < 100
        assert [(r.kind, r.message_id) for r in peer.requests] == [
            ("C-FIND-RQ", 5),
            ("C-CANCEL-RQ", 5),
        ]


def test_cancel_is_ignored_if_the_script_says_so():
    script = Script(find=(Rows([row(0)]), Pause(30), Final()), honours_cancel=False)
    with bad_pacs(script) as peer, associated(peer) as association:
        responses = association.send_c_find(query(), FIND, msg_id=5)
        next(responses)
        association.send_c_cancel(5, query_model=FIND)
        assert statuses(responses) == [0x0000]


def test_get_sends_instances_byte_for_byte():
    images = [ct(i) for i in range(3)]
    instances = [instance_from_dataset(image) for image in images]
    received = []

    def store(event):
        received.append((event.request.AffectedSOPInstanceUID, event.encoded_dataset()))
        return 0x0000

    script = Script(get=(SendInstances(instances), Final()))
    with (
        bad_pacs(script) as peer,
        associated(peer, (evt.EVT_C_STORE, store)) as association,
    ):
        responses = [status for status, _ in association.send_c_get(query(), GET)]
    assert [status.Status for status in responses] == [0xFF00] * 3 + [0x0000]
    assert [status.NumberOfRemainingSuboperations for status in responses[:3]] == [2, 1, 0]
    assert responses[-1].NumberOfCompletedSuboperations == 3
    assert "NumberOfRemainingSuboperations" not in responses[-1]
    assert [uid for uid, _ in received] == [i.sop_instance for i in instances]
    for (_, encoded), instance in zip(received, instances, strict=True):
        assert encoded.endswith(instance.data)


def test_get_tells_of_instances_that_were_not_taken():
    instances = [instance_from_dataset(ct(i)) for i in range(2)]
    answers = iter([0x0000, 0xA700])
    script = Script(get=(SendInstances(instances), Final()))
    with (
        bad_pacs(script) as peer,
        associated(peer, (evt.EVT_C_STORE, lambda event: next(answers))) as association,
    ):
        *_, (status, identifier) = association.send_c_get(query(), GET)
    assert status.Status == 0xB000
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (1, 1)
    assert identifier.FailedSOPInstanceUIDList == instances[1].sop_instance


def test_move_counts():
    script = Script(move=(counting(3), Final()))
    with bad_pacs(script) as peer, associated(peer) as association:
        responses = [s for s, _ in association.send_c_move(query(), "ELSEWHERE", MOVE)]
        assert [s.NumberOfCompletedSuboperations for s in responses] == [1, 2, 3, 3]
        assert peer.requests[0].move_destination == "ELSEWHERE"


def test_store_is_accepted_and_its_data_set_kept(tmp_path):
    image = ct(1)
    image.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    with bad_pacs() as peer, associated(peer) as association:
        assert association.send_c_store(image).Status == 0x0000
        (request,) = peer.requests
        source = instance_from_file(tmp_path / "image.dcm")
        assert request.data == source.data == instance_from_dataset(image).data
        assert (request.sop_class, request.sop_instance) == (CTImageStorage, image.SOPInstanceUID)
        assert request.size == len(source.data)


# Bad statuses and wrong words


def test_final_carries_status_comment_and_elements():
    final = Final(0xA900, error_comment="no", offending_elements=(0x00100020,))
    with bad_pacs(Script(find=(Rows([row(0)]), final))) as peer, associated(peer) as association:
        *_, (status, _) = association.send_c_find(query(), FIND)
    assert (status.Status, status.ErrorComment) == (0xA900, "no")
    assert status.OffendingElement == 0x00100020


def test_wrong_counters_and_failed_uids_are_told_as_scripted():
    final = Final(0xB000, counters=Counters(completed=7, failed=2), failed=("1.2.3", "1.2.4"))
    with bad_pacs(Script(move=(final,))) as peer, associated(peer) as association:
        ((status, identifier),) = association.send_c_move(query(), "X", MOVE)
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (7, 2)
    assert list(identifier.FailedSOPInstanceUIDList) == ["1.2.3", "1.2.4"]


@pytest.mark.parametrize(
    "forged", [Forged(field=0x8030), Forged(sop_class="1.2.3"), Forged(message_id_shift=1)]
)
def test_forged_header_reaches_the_peer(forged):
    def seen(event):
        messages.append(event.message.command_set)

    messages: list[Dataset] = []
    with (
        bad_pacs(Script(echo=(Final(forged=forged),))) as peer,
        associated(peer, (evt.EVT_DIMSE_RECV, seen)) as association,
    ):
        association.send_c_echo(msg_id=3)
    assert messages[0].CommandField == (forged.field or 0x8030)
    assert messages[0].AffectedSOPClassUID == (forged.sop_class or Verification)
    assert messages[0].MessageIDBeingRespondedTo == 3 + forged.message_id_shift


# Associations that do not come to be


@pytest.mark.parametrize("answer", [(1, 1, 7), (1, 1, 3), (2, 3, 1), (1, 2, 2)])
def test_association_is_rejected(answer):
    with bad_pacs(Script(associate=(Reject(*answer),))) as peer, plain_client(peer) as sock:
        sock.sendall(association_request())
        rejection = A_ASSOCIATE_RJ()
        rejection.decode(read_pdu(sock))
        assert (rejection.result, rejection.source, rejection.reason_diagnostic) == answer


def test_contexts_are_accepted_selectively():
    script = Script(associate=(Accept(only=frozenset({FIND})),))
    with bad_pacs(script) as peer, associated(peer) as association:
        assert [c.abstract_syntax for c in association.accepted_contexts] == [FIND]
        assert {c.result for c in association.rejected_contexts} == {3}


def test_transfer_syntax_is_refused():
    script = Script(associate=(Accept(transfer_syntaxes=frozenset({ImplicitVRLittleEndian})),))
    with bad_pacs(script) as peer, associated(peer) as association:
        assert [c.abstract_syntax for c in association.accepted_contexts] == [Verification]
        assert {c.result for c in association.rejected_contexts} == {4}


def test_all_contexts_are_refused():
    script = Script(associate=(Accept(only=frozenset()),))
    with bad_pacs(script) as peer, associated(peer) as association:
        assert not association.is_established
        assert not association.is_rejected


def test_connection_is_refused_until_it_listens():
    with bad_pacs(listening=False) as peer:
        with pytest.raises(ConnectionRefusedError), plain_client(peer):
            pass
        peer.listen()
        with plain_client(peer):
            pass
        peer.record.wait_until(lambda: [c.end for c in peer.connections] == [End.HUNG_UP])


def test_full_backlog_lets_connect_wait():
    with full_backlog() as port, socket.socket() as sock:
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.connect(("127.0.0.1", port))


@pytest.mark.parametrize("silence", [Silence(), Stare()])
@pytest.mark.parametrize("phase", ["connect", "associate"])
def test_silence_lasts_until_the_peer_leaves(silence, phase):
    script = Script(connect=(silence,)) if phase == "connect" else Script(associate=(silence,))
    with bad_pacs(script) as peer:
        with plain_client(peer) as sock:
            sock.sendall(association_request())
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            assert peer.connections[0].end is None
        peer.record.wait_until(lambda: peer.connections[0].end is End.HUNG_UP)


# Ends in the middle


def test_association_is_aborted_after_two_rows():
    script = Script(find=(Rows([row(0), row(1)]), Pause(0.1), Abort(2, 6)))
    with bad_pacs(script) as peer, associated(peer) as association:
        answers = list(association.send_c_find(query(), FIND))
        assert [a.PatientID for _, a in answers if a is not None] == ["P0", "P1"]
        association.join(10)
        assert association.is_aborted
        peer.record.wait_until(lambda: peer.connections[0].end is End.SCRIPTED)


def test_connection_is_closed_instead_of_an_answer():
    with bad_pacs(Script(echo=(Close(),))) as peer, plain_client(peer) as sock:
        ask_echo(sock)
        assert everything(sock) == b""


def test_connection_is_reset_instead_of_an_answer():
    with bad_pacs(Script(echo=(Reset(),))) as peer, plain_client(peer) as sock:
        ask_echo(sock)
        with pytest.raises(ConnectionResetError):
            everything(sock)


def test_abort_of_the_peer_is_recorded():
    with bad_pacs(Script(echo=(Silence(),))) as peer:
        with associated(peer) as association:
            association.abort()
        peer.record.wait_until(lambda: peer.connections[0].end is End.ABORTED)


def test_hang_up_ends_open_connections():
    with bad_pacs(Script(connect=(Silence(),))) as peer, plain_client(peer) as sock:
        peer.record.wait_until(lambda: len(peer.connections) == 1)
        peer.hang_up()
        assert sock.recv(1) == b""


def accepted_length(peer: BadPacs) -> int:
    """Length of the A-ASSOCIATE-AC that `association_request` brings."""
    with plain_client(peer) as sock:
        sock.sendall(association_request())
        return len(read_pdu(sock))


@pytest.mark.parametrize(("keep", "then"), [("header", Close()), ("body", Reset())])
def test_accept_freezes_in_the_middle(keep, then):
    with bad_pacs() as peer:
        whole = accepted_length(peer)
        peer.script = Script(associate=(Freeze(Part.ACCEPT, keep, then=then), Accept()))
        with plain_client(peer) as sock:
            sock.sendall(association_request())
            received = b""
            with contextlib.suppress(ConnectionResetError):
                received = everything(sock)
        if isinstance(then, Close):
            assert len(received) == 3
        else:
            assert len(received) <= 6 + (whole - 6) // 2


@pytest.mark.parametrize("part", [Part.COMMAND, Part.DATA])
@pytest.mark.parametrize("keep", ["header", "body"])
def test_pynetdicom_waits_in_the_middle_of_a_pdu(part, keep):
    # pynetdicom never gives up here by itself; that the bad PACS goes away frees it.
    script = Script(find=(Rows([row(0)]), Freeze(part, keep), Rows([row(1)]), Final()))
    with bad_pacs(script) as peer, associated(peer) as association:
        responses = association.send_c_find(query(), FIND)
        assert next(responses)[0].Status == 0xFF00
        time.sleep(0.2)
        peer.hang_up()
        assert [s.get("Status") for s, _ in responses] == [None]


def test_slow_peer_sends_byte_by_byte():
    script = Script(associate=(Slow(Part.ACCEPT, seconds=0.001), Accept()))
    with bad_pacs(script) as peer, associated(peer) as association:
        assert association.send_c_echo().Status == 0


@pytest.mark.parametrize("nonsense", [garbage(), huge_pdu(), unknown_pdu()])
def test_nonsense_instead_of_an_accept(nonsense):
    with bad_pacs(Script(associate=(nonsense, Close()))) as peer, plain_client(peer) as sock:
        sock.sendall(association_request())
        assert everything(sock) == nonsense.data


def test_command_set_is_broken():
    with bad_pacs(Script(echo=(broken_command_set(),))) as peer, plain_client(peer) as sock:
        ask_echo(sock)
        (value,) = pdu.parse_data(read_pdu(sock)[6:])
        assert value.is_command
        assert value.is_last
        with pytest.raises(pdu.ProtocolError):
            command.decode(value.data)


def test_identifier_is_broken():
    script = Script(find=(Rows([row(0)]), broken_identifier(), Final()))
    with bad_pacs(script) as peer, associated(peer) as association:
        (_, first), (_, second), *_ = association.send_c_find(query(), FIND)
        assert first is not None
        assert first.PatientID == "P0"
        assert second is None


def test_release_is_asked_for_in_the_middle():
    with bad_pacs(Script(echo=(ReleaseRequest(),))) as peer, plain_client(peer) as sock:
        ask_echo(sock)
        assert read_pdu(sock) == pdu.release_request()
        sock.sendall(pdu.release_reply())
        assert everything(sock) == b""
        peer.record.wait_until(lambda: peer.connections[0].end is End.SCRIPTED)


def test_release_is_never_answered():
    with bad_pacs(Script(release=(Silence(),))) as peer:
        with associated(peer) as association:
            association.acse_timeout = 0.3
            association.release()
        peer.record.wait_until(lambda: peer.connections[0].end is not None)


# Faults of the other side


def test_breaking_the_standard_fails_the_test():
    def misbehave() -> None:
        with bad_pacs() as peer, plain_client(peer) as sock:
            sock.sendall(b"\4\0\0\0\0\0")
            assert everything(sock)[0] == 7

    with pytest.raises(AssertionError, match="PDU of type 0x04 before A-ASSOCIATE-RQ"):
        misbehave()


def test_failure_of_the_test_itself_is_not_hidden():
    def misbehave_and_fail() -> None:
        with bad_pacs() as peer, plain_client(peer) as sock:
            sock.sendall(b"\4\0\0\0\0\0")
            everything(sock)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        misbehave_and_fail()


def test_waiting_has_an_end():
    with bad_pacs() as peer, pytest.raises(TimeoutError, match="0 s"):
        peer.record.wait_until(lambda: False, seconds=0)


def test_nothing_is_left_of_a_hundred_open_connections():
    before = snapshot()
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(bad_pacs(Script(connect=(Stare(),))))
        for _ in range(100):
            stack.enter_context(plain_client(peer))
        peer.record.wait_until(lambda: len(peer.connections) == 100)
    assert_nothing_left(before)
