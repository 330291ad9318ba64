"""PDUs: written as pynetdicom writes them, read whatever peers make of them, and no surprises."""

from __future__ import annotations

import contextlib
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import pdu as reference
from pynetdicom import pdu_items

from harmony.upper_layer.pdus import (
    APPLICATION_CONTEXT,
    Abort,
    AbortReason,
    AbortSource,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Fragment,
    Pdu,
    PduError,
    PduType,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
    decode,
    encode,
    fragments,
)
from harmony.upper_layer.user_information import UserIdentity, UserInformation

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
USER = UserInformation(maximum_length=16384, implementation_class_uid="1.2.3")
UIDS = st.from_regex(r"[12](\.[1-9][0-9]{0,9}){1,4}", fullmatch=True)
# pynetdicom strips titles of their spaces
TITLES = st.from_regex(r"[A-Za-z0-9_!/]([ -\[\]-~]{0,14}[A-Za-z0-9~*])?", fullmatch=True)
IDS = st.lists(st.integers(0, 127).map(lambda n: 2 * n + 1), min_size=1, max_size=5, unique=True)


def padded(title: str) -> str:
    return title.ljust(16)


def request(**changes) -> AssociateRequest:
    proposed = ProposedContext(id=1, abstract_syntax=CT, transfer_syntaxes=(IMPLICIT,))
    values = {"called_aet": "PACS", "calling_aet": "HARMONY", "contexts": (proposed,), "user": USER}
    return AssociateRequest(**{**values, **changes})


def accept(**changes) -> AssociateAccept:
    answered = AnsweredContext(id=1, result=0, transfer_syntax=IMPLICIT)
    values = {"called_aet": "PACS", "calling_aet": "HARMONY", "contexts": (answered,), "user": USER}
    return AssociateAccept(**{**values, **changes})


@st.composite
def requests(draw) -> AssociateRequest:
    return request(
        called_aet=padded(draw(TITLES)),
        calling_aet=padded(draw(TITLES)),
        application_context=draw(UIDS),
        contexts=tuple(
            ProposedContext(
                id=number,
                abstract_syntax=draw(UIDS),
                transfer_syntaxes=tuple(draw(st.lists(UIDS, min_size=1, max_size=4))),
            )
            for number in draw(IDS)
        ),
        protocol_version=draw(st.integers(0, 0xFFFF)),
    )


@st.composite
def accepts(draw) -> AssociateAccept:
    return accept(
        called_aet=padded(draw(TITLES)),
        calling_aet=padded(draw(TITLES)),
        application_context=draw(UIDS),
        contexts=tuple(
            AnsweredContext(id=number, result=draw(st.integers(0, 4)), transfer_syntax=draw(UIDS))
            for number in draw(IDS)
        ),
        protocol_version=draw(st.integers(0, 0xFFFF)),
    )


# PS3.8 tables 9-21 and 9-26
REJECTS = [
    AssociateReject(result=result, source=source, reason=reason)
    for result in (1, 2)
    for source, reasons in ((1, (1, 2, 3, 7)), (2, (1, 2)), (3, (1, 2)))
    for reason in reasons
]
ABORTS = [
    Abort(source=0, reason=0),
    *(Abort(source=2, reason=reason) for reason in (0, 1, 2, 4, 5, 6)),
]
OTHERS = [*REJECTS, *ABORTS, ReleaseRequest(), ReleaseResponse()]
PDUS = requests() | accepts() | st.sampled_from(OTHERS)


def read(pdu: bytes) -> Pdu:
    assert int.from_bytes(pdu[2:6], "big") == len(pdu) - 6
    return decode(pdu[0], memoryview(pdu)[6:])


def item(kind: int, value: bytes) -> bytes:
    return bytes((kind, 0)) + len(value).to_bytes(2, "big") + value


def value(context_id: int, control: int, data: bytes) -> bytes:
    """A presentation data value."""
    return (len(data) + 2).to_bytes(4, "big") + bytes((context_id, control)) + data


# pynetdicom says the same


def variable_items(pdu: AssociateRequest | AssociateAccept) -> list:
    application = pdu_items.ApplicationContextItem()
    application.application_context_name = pdu.application_context
    made: list = [application]
    for context in pdu.contexts:
        if isinstance(context, ProposedContext):
            abstract = pdu_items.AbstractSyntaxSubItem()
            abstract.abstract_syntax_name = context.abstract_syntax
            proposed = pdu_items.PresentationContextItemRQ()
            proposed.presentation_context_id = context.id
            proposed.abstract_transfer_syntax_sub_items = [abstract]
            proposed.abstract_transfer_syntax_sub_items += map(syntax, context.transfer_syntaxes)
            made.append(proposed)
        else:
            answered = pdu_items.PresentationContextItemAC()
            answered.presentation_context_id = context.id
            answered.result_reason = context.result
            answered.transfer_syntax_sub_item = [syntax(context.transfer_syntax)]
            made.append(answered)
    longest = pdu_items.MaximumLengthSubItem()
    longest.maximum_length_received = pdu.user.maximum_length
    implementation = pdu_items.ImplementationClassUIDSubItem()
    implementation.implementation_class_uid = pdu.user.implementation_class_uid
    user = pdu_items.UserInformationItem()
    user.user_data = [longest, implementation]
    return [*made, user]


def syntax(uid: str) -> pdu_items.TransferSyntaxSubItem:
    made = pdu_items.TransferSyntaxSubItem()
    made.transfer_syntax_name = uid
    return made


def as_pynetdicom(pdu: Pdu) -> reference.PDU:
    """The same values in pynetdicom's classes."""
    match pdu:
        case AssociateRequest():
            asked = reference.A_ASSOCIATE_RQ()
            asked.called_ae_title, asked.calling_ae_title = pdu.called_aet, pdu.calling_aet
            asked.protocol_version = pdu.protocol_version
            asked.variable_items = variable_items(pdu)
            return asked
        case AssociateAccept():
            accepted = reference.A_ASSOCIATE_AC()
            accepted.reserved_aet, accepted.reserved_aec = pdu.called_aet, pdu.calling_aet
            accepted.protocol_version = pdu.protocol_version
            accepted.variable_items = variable_items(pdu)
            return accepted
        case AssociateReject():
            rejected = reference.A_ASSOCIATE_RJ()
            rejected.result, rejected.source = pdu.result, pdu.source
            rejected.reason_diagnostic = pdu.reason
            return rejected
        case ReleaseRequest():
            return reference.A_RELEASE_RQ()
        case ReleaseResponse():
            return reference.A_RELEASE_RP()
        case Abort():
            aborted = reference.A_ABORT_RQ()
            aborted.source, aborted.reason_diagnostic = pdu.source, pdu.reason
            return aborted


def from_pynetdicom(data: bytes) -> Pdu:
    """What pynetdicom reads."""
    kind = PduType(data[0])
    made: Any = READ_BY[kind]()
    made.decode(data)
    match kind:
        case PduType.ASSOCIATE_RQ:
            return AssociateRequest(
                called_aet=padded(made.called_ae_title),
                calling_aet=padded(made.calling_ae_title),
                application_context=made.application_context_name,
                contexts=tuple(
                    ProposedContext(
                        id=context.context_id,
                        abstract_syntax=context.abstract_syntax,
                        transfer_syntaxes=tuple(context.transfer_syntax),
                    )
                    for context in made.presentation_context
                ),
                user=user_of(made.user_information),
                protocol_version=made.protocol_version,
            )
        case PduType.ASSOCIATE_AC:
            return AssociateAccept(
                called_aet=padded(made.reserved_aet),
                calling_aet=padded(made.reserved_aec),
                application_context=made.application_context_name,
                contexts=tuple(
                    AnsweredContext(
                        id=context.context_id,
                        result=context.result,
                        transfer_syntax=context.transfer_syntax,
                    )
                    for context in made.presentation_context
                ),
                user=user_of(made.user_information),
                protocol_version=made.protocol_version,
            )
        case PduType.ASSOCIATE_RJ:
            return AssociateReject(
                result=made.result, source=made.source, reason=made.reason_diagnostic
            )
        case PduType.ABORT:
            return Abort(source=made.source, reason=made.reason_diagnostic)
        case PduType.RELEASE_RQ:
            return ReleaseRequest()
    return ReleaseResponse()


READ_BY: dict[PduType, type[reference.PDU]] = {
    PduType.ASSOCIATE_RQ: reference.A_ASSOCIATE_RQ,
    PduType.ASSOCIATE_AC: reference.A_ASSOCIATE_AC,
    PduType.ASSOCIATE_RJ: reference.A_ASSOCIATE_RJ,
    PduType.RELEASE_RQ: reference.A_RELEASE_RQ,
    PduType.RELEASE_RP: reference.A_RELEASE_RP,
    PduType.ABORT: reference.A_ABORT_RQ,
}


def user_of(user: Any) -> UserInformation:
    return UserInformation(
        maximum_length=user.maximum_length,
        implementation_class_uid=user.implementation_class_uid,
    )


@given(PDUS)
def test_what_is_written_reads_back(pdu):
    assert read(encode(pdu)) == pdu


@given(PDUS)
def test_pynetdicom_writes_the_same_bytes(pdu):
    assert encode(pdu) == as_pynetdicom(pdu).encode()


@given(PDUS)
def test_pynetdicom_reads_the_same_values(pdu):
    assert from_pynetdicom(encode(pdu)) == pdu


@given(st.lists(st.tuples(IDS, st.integers(0, 3), st.binary(max_size=40)), min_size=1, max_size=4))
def test_pynetdicom_writes_the_data_values_that_are_read(values):
    written = reference.P_DATA_TF()
    for ids, control, data in values:
        part = pdu_items.PresentationDataValueItem()
        part.presentation_context_id = ids[0]
        part.presentation_data_value = bytes((control,)) + data
        written.presentation_data_value_items.append(part)

    assert fragments(memoryview(written.encode())[6:]) == [
        Fragment(ids[0], control in (1, 3), control in (2, 3), data)
        for ids, control, data in values
    ]


def test_a_request_of_128_contexts_goes_there_and_back():
    contexts = tuple(
        ProposedContext(id=number, abstract_syntax=CT, transfer_syntaxes=(IMPLICIT,))
        for number in range(1, 256, 2)
    )
    asked = request(called_aet=padded("A"), calling_aet=padded("B"), contexts=contexts)

    assert read(encode(asked)) == asked


# Byte for byte

FIXED = bytes.fromhex(
    "0001 0000"
    "50414353 20202020 20202020 20202020"  # PACS
    "4841524d 4f4e5920 20202020 20202020"  # HARMONY
) + bytes(32)
APPLICATION = item(0x10, APPLICATION_CONTEXT.encode())
PROPOSED = item(0x20, b"\1\0\0\0" + item(0x30, CT.encode()) + item(0x40, IMPLICIT.encode()))
ANSWERED = item(0x21, b"\1\0\0\0" + item(0x40, IMPLICIT.encode()))
INFORMATION = item(0x50, item(0x51, b"\0\0\x40\0") + item(0x52, b"1.2.3"))


@pytest.mark.parametrize(
    ("pdu", "written"),
    [
        (
            request(),
            bytes.fromhex("0100 000000ac") + FIXED + APPLICATION + PROPOSED + INFORMATION,
        ),
        (accept(), bytes.fromhex("0200 0000008f") + FIXED + APPLICATION + ANSWERED + INFORMATION),
        (AssociateReject(result=1, source=3, reason=2), bytes.fromhex("0300 00000004 00010302")),
        (ReleaseRequest(), bytes.fromhex("0500 00000004 00000000")),
        (ReleaseResponse(), bytes.fromhex("0600 00000004 00000000")),
        (Abort(source=0, reason=0), bytes.fromhex("0700 00000004 00000000")),
        (
            Abort(source=AbortSource.PROVIDER, reason=AbortReason.INVALID_PARAMETER),
            bytes.fromhex("0700 00000004 00000206"),
        ),
    ],
    ids=lambda pdu: type(pdu).__name__ if not isinstance(pdu, bytes) else "",
)
def test_each_pdu_byte_for_byte(pdu, written):
    assert encode(pdu) == written


def test_a_data_pdu_byte_for_byte():
    body = bytes.fromhex("00000004 01 03 abcd 00000002 03 00 00000003 ff 02 ef")

    assert fragments(memoryview(body)) == [
        Fragment(1, is_command=True, is_last=True, data=b"\xab\xcd"),
        Fragment(3, is_command=False, is_last=False, data=b""),
        Fragment(255, is_command=False, is_last=True, data=b"\xef"),
    ]


# Tolerance


def rq(*items_: bytes, fixed: bytes = FIXED) -> AssociateRequest:
    pdu = decode(PduType.ASSOCIATE_RQ, memoryview(fixed + b"".join(items_)))
    assert isinstance(pdu, AssociateRequest)
    return pdu


def ac(*items_: bytes, fixed: bytes = FIXED) -> AssociateAccept:
    pdu = decode(PduType.ASSOCIATE_AC, memoryview(fixed + b"".join(items_)))
    assert isinstance(pdu, AssociateAccept)
    return pdu


AS_READ = request(called_aet=padded("PACS"), calling_aet=padded("HARMONY"))
AS_ANSWERED = accept(called_aet=padded("PACS"), calling_aet=padded("HARMONY"))


def proposing(*contexts: ProposedContext) -> AssociateRequest:
    return request(called_aet=padded("PACS"), calling_aet=padded("HARMONY"), contexts=contexts)


def proposal(**changes) -> ProposedContext:
    values = {"id": 1, "abstract_syntax": CT, "transfer_syntaxes": (IMPLICIT,)}
    return ProposedContext(**{**values, **changes})


ABSTRACT, SYNTAX = item(0x30, CT.encode()), item(0x40, IMPLICIT.encode())


@pytest.mark.parametrize(
    ("items_", "expected"),
    [
        ((APPLICATION, PROPOSED, INFORMATION), AS_READ),
        ((INFORMATION, PROPOSED, APPLICATION), AS_READ),
        ((item(0x99, b"?"), APPLICATION, PROPOSED, item(0x22, b""), INFORMATION), AS_READ),
        ((APPLICATION, item(0x10, b"1.1"), PROPOSED, INFORMATION), AS_READ),
        ((item(0x10, b"1.2.840.10008.3.1.1.1\0 "), PROPOSED, INFORMATION), AS_READ),
        ((APPLICATION, PROPOSED, item(0x50, item(0x52, b"1.9")), INFORMATION), AS_READ),
        (
            (
                APPLICATION,
                b"\x20\xff" + PROPOSED[2:4] + b"\1\xff\xff\xff" + PROPOSED[8:],
                INFORMATION,
            ),
            AS_READ,
        ),
        (
            (APPLICATION, item(0x20, b"\1\0\0\0" + SYNTAX + ABSTRACT), INFORMATION),
            AS_READ,
        ),
        (
            (
                APPLICATION,
                item(0x20, b"\1\0\0\0" + ABSTRACT + item(0x41, b"?") + SYNTAX),
                INFORMATION,
            ),
            AS_READ,
        ),
        (
            (
                APPLICATION,
                item(0x20, b"\1\0\0\0" + ABSTRACT + item(0x30, b"1.1") + SYNTAX),
                INFORMATION,
            ),
            AS_READ,
        ),
        (
            (
                APPLICATION,
                item(0x20, b"\1\0\0\0" + item(0x30, CT.encode() + b"\0") + item(0x40, b"1.2 ")),
                INFORMATION,
            ),
            proposing(proposal(transfer_syntaxes=("1.2",))),
        ),
        (
            (APPLICATION, item(0x20, b"\1\0\0\0" + ABSTRACT), INFORMATION),
            proposing(proposal(transfer_syntaxes=())),
        ),
        (
            (APPLICATION, item(0x20, b"\1\0\0\0" + SYNTAX), INFORMATION),
            proposing(proposal(abstract_syntax="")),
        ),
        (
            (APPLICATION, item(0x20, b"\1\0\0\0"), INFORMATION),
            proposing(proposal(abstract_syntax="", transfer_syntaxes=())),
        ),
        (
            (APPLICATION, item(0x20, b"\1\0\0\0" + item(0x30, b"1.\xff") + SYNTAX), INFORMATION),
            proposing(proposal(abstract_syntax="1.\xff")),
        ),
        ((APPLICATION, INFORMATION), proposing()),
    ],
    ids=[
        "as it should be", "any order", "unknown items", "two application contexts",
        "padded application context", "user information twice", "reserved bytes",
        "transfer before abstract syntax", "unknown sub-item", "two abstract syntaxes",
        "padded UIDs", "no transfer syntax", "no abstract syntax", "empty context",
        "UID not of ASCII", "no context",
    ],
)  # fmt: skip
def test_what_requests_get_wrong_without_harm_is_read(items_, expected):
    assert rq(*items_) == expected


def test_a_request_may_lack_what_nobody_needs_to_read_it():
    bare = rq(PROPOSED)

    assert bare.application_context == ""
    assert bare.user == UserInformation()
    assert bare.user.maximum_length is None


def test_the_reserved_bytes_before_the_items_are_not_looked_at():
    noisy = FIXED[:2] + b"\xff\xff" + FIXED[4:36] + b"\xff" * 32

    assert rq(APPLICATION, PROPOSED, INFORMATION, fixed=noisy) == AS_READ
    assert ac(APPLICATION, ANSWERED, INFORMATION, fixed=noisy) == AS_ANSWERED


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (item(0x21, b"\3\xff\4\xff" + SYNTAX), (3, 4, IMPLICIT)),
        (item(0x21, b"\3\0\x99\0" + SYNTAX), (3, 0x99, IMPLICIT)),
        (item(0x21, b"\3\0\3\0"), (3, 3, "")),
        (item(0x21, b"\3\0\3\0" + item(0x40, b"")), (3, 3, "")),
        (item(0x21, b"\3\0\0\0" + item(0x40, b"1.2\0")), (3, 0, "1.2")),
        (item(0x21, b"\3\0\0\0" + SYNTAX + item(0x40, b"1.9")), (3, 0, IMPLICIT)),
        (item(0x21, b"\3\0\0\0" + ABSTRACT + SYNTAX), (3, 0, IMPLICIT)),
    ],
    ids=["reserved", "unknown result", "no syntax", "empty", "padded", "two", "abstract too"],
)
def test_what_answers_get_wrong_without_harm_is_read(context, expected):
    (read_as,) = ac(APPLICATION, context, INFORMATION).contexts

    assert (read_as.id, read_as.result, read_as.transfer_syntax) == expected


@pytest.mark.parametrize(
    "title", [b"PACS" + bytes(12), b"   PACS         ", b"\xff\n\\" * 5 + b"A"]
)
def test_titles_go_back_in_the_answer_as_they_came(title):
    asked = rq(APPLICATION, PROPOSED, INFORMATION, fixed=FIXED[:4] + title + title + bytes(32))
    answered = accept(called_aet=asked.called_aet, calling_aet=asked.calling_aet)

    assert encode(answered)[10:42] == title + title


@pytest.mark.parametrize("length", [4, 5, 256])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PduType.ASSOCIATE_RJ, AssociateReject(result=2, source=3, reason=4)),
        (PduType.RELEASE_RQ, ReleaseRequest()),
        (PduType.RELEASE_RP, ReleaseResponse()),
        (PduType.ABORT, Abort(source=3, reason=4)),
    ],
    ids=lambda part: part.name if isinstance(part, PduType) else "",
)
def test_what_follows_the_four_bytes_of_a_short_pdu_is_ignored(kind, expected, length):
    body = b"\xff\2\3\4".ljust(length, b"\xff")

    assert decode(kind, memoryview(body)) == expected


# Errors

INVALID, UNEXPECTED = AbortReason.INVALID_PARAMETER, AbortReason.UNEXPECTED_PARAMETER
RQ, AC = PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC


def context(kind: int, number: int) -> bytes:
    return item(kind, bytes((number, 0, 0, 0)) + SYNTAX)


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (RQ, b"", INVALID),
        (AC, b"", INVALID),
        (RQ, FIXED[:-1], INVALID),
        (AC, FIXED[:-1], INVALID),
        (RQ, FIXED + b"\x10", INVALID),
        (RQ, FIXED + APPLICATION + b"\x20\0\0", INVALID),
        (RQ, FIXED + APPLICATION[:-1], INVALID),
        (RQ, FIXED + b"\x99\0\xff\xff", INVALID),
        (RQ, FIXED + item(0x20, b"\1\0\0"), INVALID),
        (AC, FIXED + item(0x21, b""), INVALID),
        (RQ, FIXED + item(0x20, b"\1\0\0\0" + ABSTRACT[:-1]), INVALID),
        (RQ, FIXED + item(0x20, b"\1\0\0\0\x40"), INVALID),
        (AC, FIXED + item(0x21, b"\1\0\0\0" + SYNTAX[:-1]), INVALID),
        (RQ, FIXED + item(0x50, b"\x51\0\0\4\0\0\0"), INVALID),
        (AC, FIXED + item(0x50, item(0x54, b"")), INVALID),
        (RQ, FIXED + context(0x20, 0), INVALID),
        (RQ, FIXED + context(0x20, 2), INVALID),
        (RQ, FIXED + context(0x20, 1) * 2, INVALID),
        (RQ, FIXED + b"".join(context(0x20, n % 256) for n in range(1, 259, 2)), INVALID),
        (AC, FIXED + context(0x21, 0), INVALID),
        (AC, FIXED + context(0x21, 254), INVALID),
        (AC, FIXED + context(0x21, 5) * 2, INVALID),
        (RQ, FIXED + APPLICATION + ANSWERED, UNEXPECTED),
        (AC, FIXED + APPLICATION + PROPOSED, UNEXPECTED),
        (PduType.ASSOCIATE_RJ, b"", INVALID),
        (PduType.ASSOCIATE_RJ, bytes(3), INVALID),
        (PduType.ASSOCIATE_RJ, bytes(257), INVALID),
        (PduType.RELEASE_RQ, bytes(3), INVALID),
        (PduType.RELEASE_RQ, bytes(257), INVALID),
        (PduType.RELEASE_RP, bytes(3), INVALID),
        (PduType.RELEASE_RP, bytes(257), INVALID),
        (PduType.ABORT, bytes(3), INVALID),
        (PduType.ABORT, bytes(257), INVALID),
        (0, bytes(4), AbortReason.UNRECOGNISED_PDU),
        (PduType.DATA_TF, bytes(4), AbortReason.UNRECOGNISED_PDU),
        (8, bytes(4), AbortReason.UNRECOGNISED_PDU),
        (255, b"", AbortReason.UNRECOGNISED_PDU),
    ],
)
def test_what_is_no_pdu_is_refused_with_a_reason(kind, body, reason):
    with pytest.raises(PduError) as caught:
        decode(kind, memoryview(body))
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        bytes(5),
        b"\0\0\0\1\1\3",
        b"\0\0\0\0\1\3",
        b"\0\0\0\1\1",
        b"\0\0\0\3\1\3",
        b"\xff\xff\xff\xff\1\3" + bytes(20),
        value(1, 3, b"x") + b"\0",
        value(1, 3, b"x") + b"\0\0\0\2\1",
        value(1, 3, b"x") + value(1, 2, b"yz")[:-1],
    ],
    ids=lambda body: body.hex(),
)
def test_data_values_of_wrong_length_are_refused(body):
    with pytest.raises(PduError) as caught:
        fragments(memoryview(body))
    assert caught.value.reason is INVALID


def test_an_error_quotes_nothing_of_the_peer():
    body = FIXED + item(0x50, item(0x58, b"\2\1\0\x07mallory\0\x09hunter2"))
    with pytest.raises(PduError) as caught:
        decode(RQ, memoryview(body))

    told = f"{caught.value!r} {caught.value.__cause__!r}"
    for secret in ("mallory", "hunter2", "HARMONY"):
        assert secret not in told


# Nothing but PduError, whatever comes

KINDS = st.integers(0, 8)


@st.composite
def mutated(draw) -> bytes:
    """The body of a PDU of which a few places were changed, cut out, doubled or put in."""
    body = bytearray(encode(draw(PDUS))[6:])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        length = draw(st.integers(0, 12))
        part = draw(
            st.sampled_from((b"", bytes(body[at : at + length]) * 2)) | st.binary(max_size=length)
        )
        body[at : at + length] = part
    return bytes(body)


@st.composite
def items_of_any_kind(draw) -> bytes:
    """Items that are whole, three deep, of the types that there are and some others."""
    kinds = st.sampled_from((0x10, 0x20, 0x21, 0x30, 0x40, 0x50, *range(0x51, 0x5A), 0x99))

    def some(depth: int) -> bytes:
        made = b""
        for _ in range(draw(st.integers(0, 3))):
            head = draw(st.binary(max_size=4))
            made += item(draw(kinds), head + (some(depth - 1) if depth else b""))
        return made

    return FIXED + some(2)


@given(KINDS, st.binary(max_size=120) | mutated() | items_of_any_kind())
def test_any_bytes_give_a_pdu_or_a_pdu_error(kind, body):
    with contextlib.suppress(PduError):
        assert isinstance(decode(kind, memoryview(body)), get_args(Pdu))


@given(
    st.binary(max_size=60)
    | st.lists(st.binary(max_size=9).map(lambda data: value(1, 0, data)), max_size=4).flatmap(
        lambda values: st.integers(0, 20).map(lambda cut: b"".join(values)[cut:])
    )
)
def test_any_bytes_give_data_values_or_a_pdu_error(body):
    with contextlib.suppress(PduError):
        read_as = fragments(memoryview(body))
        assert sum(6 + len(one.data) for one in read_as) == len(body)


@given(requests() | accepts())
def test_what_was_read_does_not_hold_on_to_the_bytes(pdu):
    data = bytearray(encode(pdu))
    view = memoryview(data)
    read_as = decode(data[0], view[6:])
    data[6:] = bytes(len(data) - 6)

    assert read_as == pdu


# What must not be sent


@pytest.mark.parametrize(
    ("pdu", "field"),
    [
        (request(called_aet=""), "called_aet"),
        (request(called_aet=" " * 16), "called_aet"),
        (request(called_aet="A" * 17), "called_aet"),
        (request(calling_aet="A\\B"), "calling_aet"),
        (request(calling_aet="A\nB"), "calling_aet"),
        (request(calling_aet="A\x7f"), "calling_aet"),
        (request(calling_aet="Ä"), "calling_aet"),
        (accept(called_aet="A" * 17), "called_aet"),
        (accept(calling_aet="\u0416"), "calling_aet"),
        (request(application_context=""), "application_context"),
        (accept(application_context="1.2 "), "application_context"),
        (request(protocol_version=-1), "protocol_version"),
        (accept(protocol_version=0x10000), "protocol_version"),
        (request(contexts=()), "contexts"),
        (request(contexts=(proposal(id=0),)), "contexts"),
        (request(contexts=(proposal(id=2),)), "contexts"),
        (request(contexts=(proposal(id=257),)), "contexts"),
        (request(contexts=(proposal(id=-1),)), "contexts"),
        (request(contexts=(proposal(), proposal())), "contexts"),
        (request(contexts=(proposal(abstract_syntax=""),)), "abstract_syntax"),
        (request(contexts=(proposal(abstract_syntax="1" * 65),)), "abstract_syntax"),
        (request(contexts=(proposal(transfer_syntaxes=()),)), "transfer_syntaxes"),
        (request(contexts=(proposal(transfer_syntaxes=("1.2", "1.x")),)), "transfer_syntaxes"),
        (request(contexts=(proposal(transfer_syntaxes=("1" * 64,) * 1000),)), "transfer_syntaxes"),
        (
            accept(contexts=(AnsweredContext(id=4, result=0, transfer_syntax=IMPLICIT),)),
            "contexts",
        ),
        (
            accept(contexts=(AnsweredContext(id=1, result=3, transfer_syntax=""),)),
            "transfer_syntax",
        ),
        (accept(contexts=(AnsweredContext(id=1, result=5, transfer_syntax=IMPLICIT),)), "result"),
        (request(user=UserInformation(maximum_length=-1)), "maximum_length"),
        (request(user=UserInformation(user_identity_answer=b"")), "user_identity_answer"),
        (
            accept(
                user=UserInformation(
                    user_identity=UserIdentity(kind=1, response_requested=False, primary=b"me")
                )
            ),
            "user_identity",
        ),
        (
            request(
                user=UserInformation(
                    maximum_length=0,
                    user_identity=UserIdentity(
                        kind=5, response_requested=False, primary=bytes(65535 - 10)
                    ),
                )
            ),
            "user",
        ),
        (AssociateReject(result=0, source=1, reason=1), "result"),
        (AssociateReject(result=1, source=0, reason=1), "source"),
        (AssociateReject(result=1, source=1, reason=4), "source and reason"),
        (AssociateReject(result=1, source=3, reason=0), "source and reason"),
        (Abort(source=1, reason=0), "source"),
        (Abort(source=2, reason=3), "reason"),
        (Abort(source=0, reason=6), "reason"),
    ],
)
def test_what_must_not_be_sent_is_refused_by_the_name_of_its_field(pdu, field):
    with pytest.raises(ValueError, match=rf"^{field}\b"):
        encode(pdu)


def test_an_answer_may_be_to_a_request_without_contexts():
    asked = rq(APPLICATION, INFORMATION)
    answered = encode(accept(called_aet=asked.called_aet, contexts=()))

    assert read(answered).contexts == ()


def test_no_repr_shows_data_or_who_asks():
    identity = UserIdentity(kind=1, response_requested=True, primary=b"mallory")
    asked = request(user=UserInformation(user_identity=identity))
    piece = Fragment(1, False, True, b"DOE^JANE")

    assert "HARMONY" in repr(asked)
    assert "mallory" not in repr(asked)
    assert "context_id=1" in repr(piece)
    assert "DOE" not in repr(piece)
