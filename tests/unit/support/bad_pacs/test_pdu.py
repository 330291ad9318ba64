from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context

from tests.support.bad_pacs import pdu

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


def association_request() -> bytes:
    contexts = [build_context(VERIFICATION), build_context(CT)]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    length, implementation, role = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        SCP_SCU_RoleSelectionNegotiation(),
    )
    length.maximum_length_received = 16382
    implementation.implementation_class_uid = "1.2.3"
    role.sop_class_uid, role.scu_role, role.scp_role = CT, False, True
    primitive = A_ASSOCIATE()
    primitive.application_context_name = pdu.APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = "CALLER", "CALLED"
    primitive.presentation_context_definition_list = contexts
    primitive.user_information = [length, implementation, role]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return request.encode()


def with_first_context_id(body: bytes, context_id: int) -> bytes:
    at = body.index(b"\x20\0", 68) + 4
    return body[:at] + bytes([context_id]) + body[at + 1 :]


def test_association_request_of_pynetdicom_is_read():
    request = pdu.parse_associate_request(association_request()[6:])
    assert (request.calling_ae_title, request.called_ae_title) == ("CALLER", "CALLED")
    assert request.max_length == 16382
    assert [(c.id, c.abstract_syntax) for c in request.contexts] == [(1, VERIFICATION), (3, CT)]
    assert request.contexts[0].transfer_syntaxes[0] == "1.2.840.10008.1.2"
    assert request.roles == (pdu.Role(sop_class=CT, scu=False, scp=True),)


def test_accept_is_read_by_pynetdicom():
    request = pdu.parse_associate_request(association_request()[6:])
    answers = [
        pdu.ContextAnswer(
            id=context.id,
            result=result,
            abstract_syntax=context.abstract_syntax,
            transfer_syntax=context.transfer_syntaxes[0],
        )
        for context, result in zip(request.contexts, (0, 3), strict=True)
    ]
    accept = A_ASSOCIATE_AC()
    accept.decode(pdu.associate_accept(request, answers, roles=request.roles, max_length=4096))
    primitive = accept.to_primitive()
    assert primitive.maximum_length_received == 4096
    assert [c.result for c in primitive.presentation_context_definition_results_list] == [0, 3]
    assert [
        (item.sop_class_uid, item.scu_role, item.scp_role)
        for item in primitive.user_information
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation)
    ] == [(CT, False, True)]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda body: body[:40], "shorter than its fixed fields"),
        (lambda body: b"\0\0" + body[2:], "protocol version"),
        (lambda body: body[:68], "no presentation context"),
        (lambda body: body[:-1], "longer than what holds it"),
        (lambda body: body.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.2"), "context"),
        (lambda body: with_first_context_id(body, 2), "is even"),
    ],
)
def test_association_request_against_the_standard_is_told(change, complaint):
    with pytest.raises(pdu.ProtocolError, match=complaint):
        pdu.parse_associate_request(change(association_request()[6:]))


@given(
    data=st.binary(max_size=300), max_length=st.integers(7, 64) | st.just(0), command=st.booleans()
)
def test_fragments_fit_and_join_to_the_whole(data, max_length, command):
    sent = list(pdu.data_pdus(5, data, is_command=command, max_length=max_length))
    values = []
    for part in sent:
        kind, length = struct.unpack_from(">BxI", part)
        assert (kind, length) == (pdu.PduType.P_DATA, len(part) - 6)
        assert not max_length or length <= max_length
        (value,) = pdu.parse_data(part[6:])
        values.append(value)
        P_DATA_TF().decode(part)
    assert b"".join(value.data for value in values) == data
    assert [value.is_last for value in values] == [False] * (len(values) - 1) + [True]
    assert {(value.context_id, value.is_command) for value in values} == {(5, command)}


@pytest.mark.parametrize("body", [b"\0\0\0", b"\0\0\0\1\1\3", b"\0\0\0\x09\1\3ab"])
def test_value_that_does_not_fit_is_told(body):
    with pytest.raises(pdu.ProtocolError):
        pdu.parse_data(body)
