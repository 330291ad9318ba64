"""The table of known bad callers, and each PDU in each state. PS3.8 9.2.3."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from tests.support.bad_caller import data_sets, messages
from tests.support.bad_caller.conversation import Case, Ending, Expect, Hear, Say, Step
from tests.support.bad_caller.data_sets import PATIENT_ID, QUERY_LEVEL, STUDY_UID, identifier
from tests.support.bad_caller.mutation import tls_hello
from tests.support.bad_caller.request import (
    ALL_SERVICES,
    CT,
    ECHO_ID,
    EXPLICIT,
    FIND_ID,
    GET_ID,
    MOVE_ID,
    STORE_ID,
    Request,
    item,
)
from tests.support.bad_pacs import pdu
from tests.support.bad_pacs.command import Tag
from tests.support.bad_pacs.pdu import Pdv, ProposedContext, Role

UNFINISHED = "1.2.3.5"  # SOP instance UID of what is not sent to its end
NOBODY = "NOBODY"  # a C-MOVE destination that no configuration names
_PROPER = Request()
_PROPER_STUDY = identifier([(PATIENT_ID, "LO", b""), (STUDY_UID, "UI", b"1.2.3")])
_IMAGE = data_sets.element(PATIENT_ID, "LO", b"P1") + data_sets.element(
    0x7FE00010, "OW", bytes(1000)
)
NO_UID = "not/a uid"


def associated(
    name: str,
    *said: bytes,
    expect: Expect = Expect.ORDER,
    ending: Ending = "half_close",
    request: Request = _PROPER,
) -> Case:
    """A case that begins with a proper association and says the rest at once."""
    steps: list[Step] = [Say(request.encode()), Hear(), *map(Say, said)]
    if said and ending == "half_close":
        steps.append(Hear())  # a FIN that overtakes the answer would hide it
    return Case(name=name, steps=tuple(steps), expect=expect, ending=ending)


def _first(name: str, *said: bytes, ending: Ending = "half_close") -> Case:
    return Case(name=name, steps=tuple(map(Say, said)), expect=Expect.NO_RESPONSE, ending=ending)


def _query(name: str, data: bytes, *, expect: Expect = Expect.NO_SUCCESS) -> Iterator[Case]:
    """The same identifier in a C-FIND, a C-GET and a C-MOVE."""
    yield associated(
        f"C-FIND, {name}", messages.message(FIND_ID, messages.find(), data), expect=expect
    )
    yield associated(
        f"C-GET, {name}", messages.message(GET_ID, messages.get(), data), expect=expect
    )
    yield associated(
        f"C-MOVE, {name}", messages.message(MOVE_ID, messages.move(NOBODY), data), expect=expect
    )


def _before_associating() -> Iterator[Case]:
    request = _PROPER.encode()
    yield _first("nothing")
    for count in (1, 3, 5, 6, 7, 74, len(request) - 1):
        yield _first(f"the first {count} bytes of a request", request[:count])
    yield _first("HTTP", b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n")
    yield _first("a TLS hello", tls_hello())
    yield _first("zeros", bytes(64))
    for kind in range(9):
        yield _first(
            f"a PDU of type {kind} that claims 4 GiB",
            struct.pack(">BxI", kind, 0xFFFFFFFF) + bytes(1000),
        )
    yield _first("a request of no length", struct.pack(">BxI", 1, 0))
    yield _first("a request of fixed fields only", pdu.pdu(1, _PROPER.fixed()))
    for name, request_ in odd_requests():
        yield Case(name=name, steps=(Say(request_.encode()), Hear()))


def odd_requests() -> Iterator[tuple[str, Request]]:
    """Association requests that are whole, and odd in one point."""
    echo = ALL_SERVICES[0]
    yield "protocol version 2", Request(version=2)
    yield "another application context", Request(application_context="1.2.3")
    yield "no application context", Request(application_context=None)
    yield "no presentation context", Request(contexts=())
    yield (
        "128 presentation contexts",
        Request(contexts=[replace(echo, id=2 * i + 1) for i in range(128)]),
    )
    yield "a context twice", Request(contexts=(echo, echo))
    yield "an even context", Request(contexts=(replace(echo, id=2),))
    yield "context 0", Request(contexts=(replace(echo, id=0),))
    yield "no transfer syntax", Request(contexts=(replace(echo, transfer_syntaxes=()),))
    yield "a syntax that is no UID", Request(contexts=(replace(echo, abstract_syntax=NO_UID),))
    yield "an empty syntax", Request(contexts=(replace(echo, abstract_syntax=""),))
    yield (
        "2,000 transfer syntaxes",
        Request(contexts=(replace(echo, transfer_syntaxes=(EXPLICIT,) * 2000),)),
    )
    yield (
        "an unknown service",
        Request(
            contexts=(
                ProposedContext(id=1, abstract_syntax="1.2.3", transfer_syntaxes=(EXPLICIT,)),
            )
        ),
    )
    yield "AE titles of spaces", Request(called="", calling="")
    yield "AE titles of control characters", Request(called="\r\n\x1b[2J", calling="\0\x07\\")
    yield "AE titles beyond ASCII", Request(called="HÄRMONY", calling="\xff" * 16)
    yield "no maximum length", Request(max_length=None)
    yield "a maximum length of 1", Request(max_length=1)
    yield "a maximum length of 4 GiB", Request(max_length=0xFFFFFFFF)
    yield "no implementation class", Request(implementation_class=None)
    yield "an implementation class that is no UID", Request(implementation_class=NO_UID)
    yield "a role without a context", Request(roles=(Role(sop_class="1.2.3", scu=True, scp=True),))
    yield "a role of no UID", Request(roles=(Role(sop_class=NO_UID, scu=True, scp=True),))
    yield "1,000 roles", Request(roles=(Role(sop_class=CT, scu=True, scp=True),) * 1000)
    yield "unknown user items", Request(items=item(0x5F, b"?" * 100) + item(0xEE, b""))
    yield "a user item that is too short", Request(items=item(0x54, b"\0"))
    yield "a user identity", Request(items=item(0x58, b"\x02\x01\0\x04user\0\x06secret"))
    yield "a user identity that lies", Request(items=item(0x58, b"\x02\x01\xff\xffuser"))
    yield "bytes behind the last item", Request(tail=b"\0\0\0")
    yield "300 KiB behind the last item", Request(tail=bytes(300 * 1024))


def _framing() -> Iterator[Case]:
    echo = messages.echo()
    whole = messages.message(ECHO_ID, echo)
    first = Pdv(context_id=ECHO_ID, is_command=True, is_last=False, data=echo[:20])

    def one(name: str, said: bytes, expect: Expect = Expect.NO_SUCCESS) -> Case:
        return associated(name, said, expect=expect)

    yield one("a context never proposed", messages.message(99, echo))
    yield one("a message in context 0", messages.message(0, echo))
    yield one("a service in another's context", messages.message(STORE_ID, echo), Expect.ORDER)
    yield one("an empty P-DATA-TF", messages.raw_p_data(b""))
    yield one("half the header of a value", messages.raw_p_data(b"\0\0\0"))
    yield one("a value of 0 bytes", messages.raw_p_data(bytes(4) + echo))
    yield one("a value of 1 byte", messages.raw_p_data(b"\0\0\0\x01\x01"))
    yield one(
        "a value that claims 4 GiB",
        messages.raw_p_data(messages.pdv(first, length=0xFFFFFFFF)),
    )
    yield one("a P-DATA-TF that claims 4 GiB", messages.p_data([first], length=0xFFFFFFFF))
    yield one("a P-DATA-TF of 1 MiB", messages.raw_p_data(bytes(1 << 20)))
    yield one(
        "a data set without a command",
        messages.p_data([replace(first, is_command=False, is_last=True)]),
    )
    yield one("a command that never ends", messages.p_data([first]) * 50)
    yield one(
        "a command of 100 KiB",
        messages.message(ECHO_ID, messages.command_set(messages.element(0x0902, bytes(100_000)))),
    )
    yield one("empty fragments without end", messages.p_data([replace(first, data=b"")]) * 5000)
    yield one(
        "a message in one-byte fragments",
        b"".join(
            messages.p_data([replace(first, data=echo[i : i + 1], is_last=i + 1 == len(echo))])
            for i in range(len(echo))
        ),
        Expect.ORDER,
    )
    yield one(
        "a message that changes its context",
        messages.p_data([first, replace(first, context_id=STORE_ID, is_last=True, data=echo[20:])]),
    )
    yield one("a hundred requests at once", whole * 100, Expect.ORDER)


def _commands() -> Iterator[Case]:
    def one(name: str, command_bytes: bytes, expect: Expect = Expect.NO_SUCCESS) -> Case:
        return associated(name, messages.message(ECHO_ID, command_bytes), expect=expect)

    yield one("an empty command set", b"")
    yield one("a command set cut short", messages.echo()[:-3])
    yield one(
        "an element of 4 GiB",
        messages.command_set(messages.element(0x0002, b"1.2", length=0xFFFFFFFF)),
    )
    yield one(
        "an element of group 0008", messages.command_set(messages.element(0x0018, b"1.23", group=8))
    )
    yield one("no command field", messages.echo(change={Tag.COMMAND_FIELD: None}))
    yield one("command field FFFF", messages.echo(change={Tag.COMMAND_FIELD: 0xFFFF}))
    yield one(
        "a response to nothing",
        messages.echo(
            change={
                Tag.COMMAND_FIELD: 0x8030,
                Tag.MESSAGE_ID: None,
                Tag.RESPONDED_TO: 7,
                Tag.STATUS: 0,
            }
        ),
    )
    yield one("an N-service", messages.echo(change={Tag.COMMAND_FIELD: 0x0130}))
    yield one("no message ID", messages.echo(change={Tag.MESSAGE_ID: None}))
    yield one("no SOP class", messages.echo(change={Tag.AFFECTED_SOP_CLASS: None}), Expect.ORDER)
    yield one(
        "another SOP class", messages.echo(change={Tag.AFFECTED_SOP_CLASS: "1.2.3"}), Expect.ORDER
    )
    yield one("a cancel of nothing", messages.cancel(message_id=77), Expect.NO_RESPONSE)
    yield associated(
        "a data set that is never sent",
        messages.message(STORE_ID, messages.store(UNFINISHED)),
        expect=Expect.NO_SUCCESS,
    )


def _services() -> Iterator[Case]:
    whole = messages.message(STORE_ID, messages.store(UNFINISHED), _IMAGE, max_length=200)
    for count in (len(whole) - 1, len(whole) // 2):
        yield associated(
            f"C-STORE, {count} of {len(whole)} bytes", whole[:count], expect=Expect.NO_SUCCESS
        )
    fragments = list(pdu.data_pdus(STORE_ID, _IMAGE, is_command=False, max_length=200))
    yield associated(
        "C-STORE without its last fragment",
        messages.message(STORE_ID, messages.store(UNFINISHED)) + b"".join(fragments[:-1]),
        expect=Expect.NO_SUCCESS,
    )
    yield associated(
        "C-STORE, released before its last fragment",
        messages.message(STORE_ID, messages.store(UNFINISHED))
        + b"".join(fragments[:-1])
        + pdu.release_request(),
        expect=Expect.NO_SUCCESS,
    )
    for name, uid in (
        ("no UID", NO_UID),
        ("a path", "../../../etc/cron.d/x"),
        ("control characters", "\x1b[2J\n"),
        ("65 digits", "1." + "2" * 63),
        ("nothing", ""),
    ):
        yield associated(
            f"C-STORE, SOP instance UID is {name}",
            messages.message(STORE_ID, messages.store(uid), _IMAGE),
            expect=Expect.NO_SUCCESS,
        )
    beyond_ascii = messages.store("1.2.3.X").replace(b"X", b"\xe9")
    yield associated(
        "C-STORE, SOP instance UID is beyond ASCII",
        messages.message(STORE_ID, beyond_ascii, _IMAGE),
        expect=Expect.NO_SUCCESS,
    )
    yield associated(
        "C-STORE, an empty data set", messages.message(STORE_ID, messages.store(), b"")
    )
    for name in data_sets.BOMBS:
        yield associated(
            f"C-STORE, {name}",
            messages.message(STORE_ID, messages.store(), data_sets.named_bomb(name)),
        )
        level = data_sets.element(QUERY_LEVEL, "CS", b"STUDY")
        find, *retrieves = _query(name, level + data_sets.named_bomb(name))
        yield replace(find, expect=Expect.ORDER) if name in data_sets.LAWFUL_BOMBS else find
        yield from retrieves  # none of them names a study
    yield from _query("no identifier", b"")
    yield from _query("an identifier that does not parse", b"\x08\x00\x52\x00CS\xff\xffSTUDY")
    yield from _query("no level", identifier([(STUDY_UID, "UI", b"1.2.3")], level=None))
    yield from _query("no such level", identifier([(STUDY_UID, "UI", b"1.2.3")], level=b"SHELF"))
    yield from _query("2 MiB", data_sets.element(0x00091001, "UN", bytes(2 << 20)) + _PROPER_STUDY)
    for name, value in (("no UID", b"not a uid "), ("a wildcard", b"1.2.*"), ("nothing", b"")):
        find, *retrieves = _query(
            f"Study Instance UID is {name}", identifier([(STUDY_UID, "UI", value)])
        )
        yield replace(find, expect=Expect.ORDER)
        yield from retrieves
    for destination in (NOBODY, "", "\x1b[2J", "..\\/"):
        yield associated(
            f"C-MOVE to {destination!r}",
            messages.message(MOVE_ID, messages.move(destination), _PROPER_STUDY),
            expect=Expect.NO_SUCCESS,
        )
    finding = messages.message(FIND_ID, messages.find(), _PROPER_STUDY)
    yield associated("C-FIND, twice at once", finding * 2)
    yield associated("C-FIND and C-CANCEL", finding + messages.message(FIND_ID, messages.cancel()))
    yield associated("C-FIND, then gone", finding, ending="close")
    yield associated("C-FIND, then reset", finding, ending="reset")
    getting = messages.message(GET_ID, messages.get(), _PROPER_STUDY)
    yield associated("C-GET, then gone", getting, ending="close")
    yield associated("C-GET, and no answer to its C-STORE", getting)


def named() -> list[Case]:
    """The table of known bad callers."""
    return [*_before_associating(), *_framing(), *_commands(), *_services()]


def each_pdu_in_each_state() -> list[Case]:
    """Every PDU in every state of an acceptor that a caller can reach. PS3.8 9.2.3."""
    request = _PROPER.encode()
    before: dict[str, tuple[Step, ...]] = {
        "Sta2, nothing said": (),
        "Sta3, the request not answered": (Say(request),),
        "Sta6, associated": (Say(request), Hear()),
        "Sta6, half a message": (
            Say(request),
            Hear(),
            Say(messages.message(STORE_ID, messages.store())),
        ),
        "Sta6, a query under way": (
            Say(request),
            Hear(),
            Say(messages.message(FIND_ID, messages.find(), _PROPER_STUDY)),
        ),
        "Sta8, release asked": (Say(request), Hear(), Say(pdu.release_request())),
        "Sta13, rejected": (Say(Request(version=2).encode()), Hear()),
        "Sta13, released": (Say(request), Hear(), Say(pdu.release_request()), Hear()),
        "Sta13, aborted": (Say(request), Hear(), Say(pdu.pdu(2, b"")), Hear()),
    }
    return [
        Case(name=f"{name} in {state}", steps=(*steps, Say(data), Hear(0.2)))
        for state, steps in before.items()
        for name, data in every_pdu().items()
    ]


def every_pdu() -> dict[str, bytes]:
    """One of each type, as proper as can be, and some of no type."""
    request = pdu.parse_associate_request(_PROPER.encode()[6:])
    answers = [
        pdu.ContextAnswer(id=c.id, result=0, abstract_syntax="", transfer_syntax=EXPLICIT)
        for c in request.contexts
    ]
    return {
        "A-ASSOCIATE-RQ": _PROPER.encode(),
        "A-ASSOCIATE-AC": pdu.associate_accept(request, answers),
        "A-ASSOCIATE-RJ": pdu.associate_reject(1, 1, 1),
        "P-DATA-TF": messages.message(ECHO_ID, messages.echo()),
        "A-RELEASE-RQ": pdu.release_request(),
        "A-RELEASE-RP": pdu.release_reply(),
        "A-ABORT by the user": pdu.abort(0, 0),
        "A-ABORT by the provider": pdu.abort(2, 6),
        "a PDU of type 0": pdu.pdu(0, bytes(4)),
        "a PDU of type 8": pdu.pdu(8, bytes(4)),
        "a PDU of type 255": pdu.pdu(255, bytes(4)),
    }
