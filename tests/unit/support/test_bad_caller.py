"""The bad caller, before pynetdicom as acceptor and, where bytes matter, a plain socket."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
import trustme
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from harmony.dicom.elements import SYNTAXES, Malformed, parse
from harmony.upper_layer import commands
from tests.support.bad_caller import (
    ALL_SERVICES,
    ECHO_ID,
    FIND_ID,
    STORE_ID,
    Aborted,
    Accepted,
    Case,
    Closed,
    Data,
    Expect,
    Hear,
    Message,
    Rejected,
    Released,
    Request,
    Say,
    bad_caller,
    chance,
    data_sets,
    hold,
    judge,
    messages,
    mutation,
    proper_echo,
    table,
)
from tests.support.bad_caller.answers import parse as parse_answer
from tests.support.bad_pacs import command, pdu
from tests.support.bad_pacs.command import Field, Tag
from tests.support.bad_pacs.pdu import Pdv, ProtocolError
from tests.support.bad_pacs.wire import PeerGone

STUDY = data_sets.identifier([(data_sets.STUDY_UID, "UI", b"1.2.3")])


@pytest.fixture(autouse=True)
def _leak_watch(leak_watch):
    """Each of these may use sockets and threads."""


@contextlib.contextmanager
def acceptor() -> Iterator[tuple[int, list[evt.Event]]]:
    """pynetdicom for all services; gives its port and what it was asked."""
    seen: list[evt.Event] = []

    def status(event: evt.Event) -> int:
        seen.append(event)
        return 0x0000

    def rows(event: evt.Event) -> Iterator[tuple[int, object]]:
        seen.append(event)
        yield 0xFF00, event.identifier

    ae = AE("HARMONY")
    ae.require_called_aet = True
    for context in ALL_SERVICES:
        ae.add_supported_context(context.abstract_syntax, ExplicitVRLittleEndian)
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[(evt.EVT_C_ECHO, status), (evt.EVT_C_STORE, status), (evt.EVT_C_FIND, rows)],
    )
    try:
        yield server.socket.getsockname()[1], seen
    finally:
        server.shutdown()


@contextlib.contextmanager
def socket_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Takes one connection, and does that with it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as sock:
            sock.settimeout(5)
            talk(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def read_all(sock: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            received += chunk
    return received


def listen(sock: socket.socket) -> None:
    read_all(sock)


def take_one_byte(sock: socket.socket) -> None:
    sock.recv(1)


class TestBehavingProperly:
    def test_an_echo_is_served(self):
        with acceptor() as (port, seen):
            proper_echo("127.0.0.1", port)
        assert [event.request.MessageID for event in seen] == [1]

    def test_every_service_is_proposed_and_roles_are_selected(self):
        with acceptor() as (port, _), bad_caller("127.0.0.1", port) as caller:
            answer = caller.associate()
            assert isinstance(answer, Accepted)
            assert answer.results == {c.id: 0 for c in ALL_SERVICES}
            assert caller.release() == Released()

    def test_a_store_arrives_in_whatever_fragments(self):
        data = data_sets.element(data_sets.PATIENT_ID, "LO", b"P1")
        with acceptor() as (port, seen), bad_caller("127.0.0.1", port) as caller:
            caller.associate()
            caller.send(messages.message(STORE_ID, messages.store("1.2.9"), data, max_length=7))
            told = caller.next_message()
            assert isinstance(told, Message)
            assert (told.field, told.status) == (Field.C_STORE_RSP, 0)
        assert seen[0].request.AffectedSOPInstanceUID == "1.2.9"
        assert seen[0].request.DataSet.getvalue() == data

    def test_the_answers_of_a_find_are_read(self):
        with acceptor() as (port, _), bad_caller("127.0.0.1", port) as caller:
            caller.associate()
            caller.ask(FIND_ID, messages.find(message_id=5), STUDY)
            pending, final = caller.next_message(), caller.next_message()
        assert isinstance(pending, Message)
        assert isinstance(final, Message)
        assert (pending.status, pending.message_id, pending.data) == (0xFF00, 5, STUDY)
        assert (final.status, final.data) == (0, None)

    def test_tls_is_spoken_when_asked_for(self):
        authority = trustme.CA()
        server_context, client_context = trustme_contexts(authority)

        def talk(sock: socket.socket) -> None:
            with server_context.wrap_socket(sock, server_side=True) as tls:
                assert tls.recv(1) == b"x"
                tls.sendall(pdu.abort(0, 0))

        with (
            socket_server(talk) as port,
            bad_caller("127.0.0.1", port, tls=client_context, server_name="pacs.test") as caller,
        ):
            caller.send(b"x")
            assert caller.next() == Aborted(0, 0)


def trustme_contexts(authority: trustme.CA):
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("pacs.test").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    return server_context, client_context


class TestMisbehaving:
    def test_a_rejection_is_read(self):
        with acceptor() as (port, _), bad_caller("127.0.0.1", port) as caller:
            assert caller.associate(Request(called="OTHER")) == Rejected(1, 1, 7)

    def test_an_abort_is_read(self):
        with acceptor() as (port, _), bad_caller("127.0.0.1", port) as caller:
            caller.associate()
            caller.send(pdu.pdu(0xFF, b"?"))
            assert isinstance(caller.next(), Aborted)

    def test_silence_ends_at_the_limit(self):
        with (
            socket_server(listen) as port,
            bad_caller("127.0.0.1", port, seconds=0.05) as caller,
            pytest.raises(TimeoutError),
        ):
            caller.next()

    def test_a_half_close_is_seen_and_answers_still_come(self):
        def talk(sock: socket.socket) -> None:
            assert read_all(sock) == b"abc"
            sock.sendall(pdu.abort(2, 1))

        with socket_server(talk) as port, bad_caller("127.0.0.1", port) as caller:
            caller.send(b"abc")
            caller.half_close()
            assert caller.rest() == [Aborted(2, 1), Closed()]

    def test_a_reset_is_one(self):
        met = threading.Event()

        def talk(sock: socket.socket) -> None:
            try:
                while sock.recv(1):
                    pass
            except ConnectionResetError:
                met.set()

        with socket_server(talk) as port:
            with bad_caller("127.0.0.1", port) as caller:
                caller.send(b"x")
                caller.reset()
            assert met.wait(5)

    def test_a_drip_stops_when_the_peer_leaves(self):
        with (
            socket_server(take_one_byte) as port,
            bad_caller("127.0.0.1", port) as caller,
        ):
            assert caller.drip(bytes(1000), every=0.05) < 1000

    def test_a_drip_arrives_whole(self):
        heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        with socket_server(lambda sock: heard.put(read_all(sock))) as port:
            with bad_caller("127.0.0.1", port) as caller:
                assert caller.drip(b"abc", every=0.001) == 3
            assert heard.get(timeout=5) == b"abc"

    def test_sending_to_who_has_left_is_told(self):
        with (
            socket_server(lambda sock: None) as port,
            bad_caller("127.0.0.1", port) as caller,
            pytest.raises(PeerGone),
        ):
            assert isinstance(caller.next(), Closed)
            for _ in range(100):
                caller.send(bytes(100_000))


class TestAnswersThatAreNone:
    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            (1, bytes(68)),
            (2, bytes(20)),
            (2, bytes(68) + b"\x50\0\xff\xff"),
            (3, bytes([0, 3, 1, 1])),
            (3, bytes([0, 1, 2, 7])),
            (4, b""),
            (4, b"\0\0\0\xff\x01\x03"),
            (5, bytes(3)),
            (7, bytes([0, 0, 1, 0])),
            (7, bytes([0, 0, 2, 3])),
            (9, bytes(4)),
        ],
    )
    def test_a_pdu_that_no_acceptor_may_send(self, kind, body):
        with pytest.raises(ProtocolError):
            parse_answer(kind, body)

    def test_a_connection_that_ends_within_a_pdu(self):
        with (
            socket_server(lambda sock: sock.sendall(pdu.abort(0, 0)[:-1])) as port,
            bad_caller("127.0.0.1", port) as caller,
            pytest.raises(ProtocolError),
        ):
            caller.next()


def response(status: int, *, context_id: int = 1) -> Data:
    elements: dict[int, command.Value] = {
        Tag.COMMAND_FIELD: Field.C_ECHO_RSP,
        Tag.RESPONDED_TO: 1,
        Tag.DATA_SET_TYPE: command.NO_DATA_SET,
        Tag.STATUS: status,
    }
    data = command.encode(elements)
    return Data([Pdv(context_id=context_id, is_command=True, is_last=True, data=data)])


class TestTheOracle:
    @pytest.mark.parametrize("status", [0x0000, 0xFF00, 0xFF01, 0xB000, 0xFE00])
    def test_a_lie_is_seen(self, status):
        assert judge(Expect.NO_SUCCESS, [response(status), Closed()])

    @pytest.mark.parametrize("status", [0xC000, 0xA900, 0xA801, 0x0122, 0x0211, 0x0110])
    def test_a_failure_is_an_answer(self, status):
        assert judge(Expect.NO_SUCCESS, [response(status), Closed()]) is None
        assert judge(Expect.NO_RESPONSE, [response(status), Closed()])

    @pytest.mark.parametrize("expect", list(Expect))
    def test_an_abort_is_one_too(self, expect):
        assert judge(expect, [Accepted(), Aborted(2, 1), Closed()]) is None

    def test_a_response_that_is_none_is_seen(self):
        data = Data([Pdv(context_id=1, is_command=False, is_last=True, data=b"")])
        assert judge(Expect.ORDER, [data])

    def test_a_connection_left_open_is_seen(self):
        over = threading.Event()

        def hold_on(sock: socket.socket) -> None:
            over.wait(5)

        with socket_server(hold_on) as port:
            _, why = hold(Case(name="", steps=()), "127.0.0.1", port, seconds=0.05)
            over.set()
        assert why == "not ended after 0.05 s"

    def test_a_conversation_is_held_step_by_step(self):
        request = Request()
        case = Case(
            name="echo",
            steps=(
                Say(request.encode()),
                Hear(),
                Say(messages.message(ECHO_ID, messages.echo())),
                Hear(),
                Say(pdu.release_request()),
                Hear(),
            ),
        )
        with acceptor() as (port, seen):
            answers, why = hold(case, "127.0.0.1", port)
        assert why is None
        assert [type(answer) for answer in answers] == [Accepted, Data, Released, Closed]
        assert len(seen) == 1


class TestWhatIsGenerated:
    def test_the_same_chance_makes_the_same_case(self):
        for make in (chance.spoilt_pdus, chance.spoilt_messages):
            assert make(random.Random("7")) == make(random.Random("7"))
            assert make(random.Random("7")) != make(random.Random("8"))

    def test_the_names_of_the_table_are_unique(self):
        names = [case.name for case in (*table.named(), *table.each_pdu_in_each_state())]
        assert len(set(names)) == len(names)

    def test_mutations_differ_and_do_not_explode(self):
        base = Request().encode()
        made = [mutation.mutate_pdu(random.Random(i), base) for i in range(500)]
        assert len(set(made)) > 250
        assert max(map(len, made)) < 1 << 20

    def test_a_request_is_read_by_another_as_it_was_meant(self):
        request = Request(called="A", calling="B", max_length=77)
        read = pdu.parse_associate_request(request.encode()[6:])
        assert (read.called_ae_title, read.calling_ae_title, read.max_length) == ("A", "B", 77)
        assert read.contexts == ALL_SERVICES
        assert read.roles == request.roles

    @pytest.mark.parametrize(
        "made", [messages.echo(), messages.store(), messages.find(), messages.move("X")]
    )
    def test_proper_command_sets_are_proper(self, made):
        assert commands.decode(made).message_id == 1
        assert command.decode(made)

    def test_an_element_can_be_taken_out(self):
        made = messages.echo(change={Tag.MESSAGE_ID: None})
        assert commands.decode(made).message_id is None

    @pytest.mark.parametrize("syntax", data_sets.SYNTAXES)
    def test_random_data_sets_are_data_sets(self, syntax):
        for i in range(200):
            parse(data_sets.random_data_set(random.Random(i), syntax), SYNTAXES[syntax])

    def test_a_nested_data_set_is_what_pydicom_takes_for_one(self):
        for delimited in (False, True):
            data = data_sets.nested(5, delimited=delimited)
            dataset = dcmread(DicomBytesIO(b"\0" * 128 + b"DICM" + meta() + data))
            for _ in range(4):
                dataset = dataset.ReferencedImageSequence[0]
            assert len(dataset.ReferencedImageSequence[0]) == 0

    @pytest.mark.parametrize("name", sorted(set(data_sets.BOMBS) - data_sets.LAWFUL_BOMBS))
    def test_a_bomb_beyond_the_limits_is_refused(self, name):
        level = data_sets.element(data_sets.QUERY_LEVEL, "CS", b"STUDY")
        with pytest.raises(Malformed):
            parse(level + data_sets.named_bomb(name), SYNTAXES[data_sets.SYNTAXES[1]])

    @pytest.mark.parametrize("name", sorted(data_sets.LAWFUL_BOMBS))
    def test_a_lawful_bomb_is_a_data_set(self, name):
        for syntax in data_sets.SYNTAXES:
            parse(data_sets.named_bomb(name, syntax), SYNTAXES[syntax])

    def test_the_tls_hello_is_one(self):
        hello = mutation.tls_hello()
        assert hello[:3] == b"\x16\x03\x01"
        assert struct.unpack_from(">H", hello, 3) == (len(hello) - 5,)


def meta() -> bytes:
    syntax = data_sets.element(0x00020010, "UI", data_sets.SYNTAXES[1].encode())
    return data_sets.element(0x00020000, "UL", struct.pack("<I", len(syntax))) + syntax
