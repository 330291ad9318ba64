"""User information items: written as pynetdicom writes them, read whatever peers make of them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import pdu_items as reference

from harmony.upper_layer.user_information import (
    AsynchronousOperations,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    ItemError,
    RoleSelection,
    UserIdentity,
    UserInformation,
    decode,
    encode,
    items,
)

UID = "1.2.840.10008.5.1.4.1.1.2"
UIDS = st.from_regex(r"[12](\.[1-9][0-9]{0,9}){1,4}", fullmatch=True)
US = st.integers(0, 0xFFFF)
NAMES = st.from_regex(r"[A-Z][A-Z0-9_.]{0,15}", fullmatch=True)
SECRETS = st.binary(min_size=1, max_size=40)
IDENTITIES = st.one_of(
    st.builds(
        UserIdentity,
        kind=st.sampled_from((1, 3, 4, 5)),
        response_requested=st.booleans(),
        primary=SECRETS,
    ),
    st.builds(
        UserIdentity,
        kind=st.just(2),
        response_requested=st.booleans(),
        primary=SECRETS,
        secondary=SECRETS,
    ),
)


def some(one: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(one, max_size=3).map(tuple)


USERS = st.builds(
    UserInformation,
    maximum_length=st.none() | st.integers(0, 0xFFFFFFFF),
    implementation_class_uid=st.none() | UIDS,
    implementation_version_name=st.none() | NAMES,
    asynchronous_operations=st.none() | st.builds(AsynchronousOperations, invoked=US, performed=US),
    roles=some(st.builds(RoleSelection, sop_class_uid=UIDS, scu=st.booleans(), scp=st.booleans())),
    extended=some(
        st.builds(
            ExtendedNegotiation,
            sop_class_uid=UIDS,
            information=st.binary(min_size=1, max_size=9),
        )
    ),
    common_extended=some(
        st.builds(
            CommonExtendedNegotiation,
            sop_class_uid=UIDS,
            service_class_uid=UIDS,
            related=some(UIDS),
        )
    ),
    user_identity=st.none() | IDENTITIES,
    user_identity_answer=st.none() | SECRETS,
)


def read(value: bytes) -> UserInformation:
    return decode(memoryview(value))


def sub(kind: int, value: bytes) -> bytes:
    return bytes((kind, 0)) + len(value).to_bytes(2, "big") + value


def counted(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def as_pynetdicom(user: UserInformation) -> reference.UserInformationItem:
    """The same values in pynetdicom's classes."""
    made: list = []
    if user.maximum_length is not None:
        made.append(reference.MaximumLengthSubItem())
        made[-1].maximum_length_received = user.maximum_length
    if user.implementation_class_uid is not None:
        made.append(reference.ImplementationClassUIDSubItem())
        made[-1].implementation_class_uid = user.implementation_class_uid
    if user.asynchronous_operations is not None:
        made.append(reference.AsynchronousOperationsWindowSubItem())
        made[-1].maximum_number_operations_invoked = user.asynchronous_operations.invoked
        made[-1].maximum_number_operations_performed = user.asynchronous_operations.performed
    for role in user.roles:
        made.append(reference.SCP_SCU_RoleSelectionSubItem())
        made[-1].sop_class_uid = role.sop_class_uid
        made[-1].scu_role, made[-1].scp_role = int(role.scu), int(role.scp)
    if user.implementation_version_name is not None:
        made.append(reference.ImplementationVersionNameSubItem())
        made[-1].implementation_version_name = user.implementation_version_name
    for extended in user.extended:
        made.append(reference.SOPClassExtendedNegotiationSubItem())
        made[-1].sop_class_uid = extended.sop_class_uid
        made[-1].service_class_application_information = extended.information
    for common in user.common_extended:
        made.append(reference.SOPClassCommonExtendedNegotiationSubItem())
        made[-1].sop_class_uid = common.sop_class_uid
        made[-1].service_class_uid = common.service_class_uid
        made[-1].related_general_sop_class_identification = list(common.related)
    if user.user_identity is not None:
        made.append(reference.UserIdentitySubItemRQ())
        made[-1].user_identity_type = user.user_identity.kind
        made[-1].positive_response_requested = int(user.user_identity.response_requested)
        made[-1].primary_field = user.user_identity.primary
        made[-1].secondary_field = user.user_identity.secondary
    if user.user_identity_answer is not None:
        made.append(reference.UserIdentitySubItemAC())
        made[-1].server_response = user.user_identity_answer
    item = reference.UserInformationItem()
    item.user_data = made
    return item


def from_pynetdicom(item: Any) -> UserInformation:
    """What pynetdicom read."""
    window = item.async_ops_window
    asked = those(item, reference.UserIdentitySubItemRQ)
    answers = those(item, reference.UserIdentitySubItemAC)
    return UserInformation(
        maximum_length=item.maximum_length,
        implementation_class_uid=item.implementation_class_uid,
        implementation_version_name=item.implementation_version_name,
        asynchronous_operations=window
        and AsynchronousOperations(
            invoked=window.maximum_number_operations_invoked,
            performed=window.maximum_number_operations_performed,
        ),
        roles=tuple(
            RoleSelection(sop_class_uid=role.uid, scu=role.scu == 1, scp=role.scp == 1)
            for role in those(item, reference.SCP_SCU_RoleSelectionSubItem)
        ),
        extended=tuple(
            ExtendedNegotiation(sop_class_uid=each.uid, information=each.app_info)
            for each in item.ext_neg
        ),
        common_extended=tuple(
            CommonExtendedNegotiation(
                sop_class_uid=each.sop_class_uid,
                service_class_uid=each.service_class_uid,
                related=tuple(each.related_general_sop_class_identification),
            )
            for each in item.common_ext_neg
        ),
        user_identity=identity_of(asked[0]) if asked else None,
        user_identity_answer=answers[0].server_response if answers else None,
    )


def those(item: Any, kind: type) -> list[Any]:
    return [one for one in item.user_data if isinstance(one, kind)]


def identity_of(asked: Any) -> UserIdentity:
    return UserIdentity(
        kind=asked.user_identity_type,
        response_requested=asked.positive_response_requested == 1,
        primary=asked.primary_field,
        secondary=asked.secondary_field,
    )


@given(USERS)
def test_what_is_written_reads_back(user):
    assert read(encode(user)) == user


@given(USERS)
def test_pynetdicom_writes_the_same_bytes(user):
    assert sub(0x50, encode(user)) == as_pynetdicom(user).encode()


@given(USERS)
def test_pynetdicom_reads_the_same_values(user):
    item = reference.UserInformationItem()
    item.decode(sub(0x50, encode(user)))

    assert from_pynetdicom(item) == user


@pytest.mark.parametrize(
    ("user", "written"),
    [
        (UserInformation(), ""),
        (UserInformation(maximum_length=0), "51000004 00000000"),
        (UserInformation(maximum_length=131072), "51000004 00020000"),
        (UserInformation(implementation_class_uid="1.2.3"), "52000005 312e322e33"),
        (
            UserInformation(
                asynchronous_operations=AsynchronousOperations(invoked=1, performed=258)
            ),
            "53000004 0001 0102",
        ),
        (
            UserInformation(roles=(RoleSelection(sop_class_uid="1.2", scu=False, scp=True),)),
            "54000007 0003 312e32 00 01",
        ),
        (UserInformation(implementation_version_name="ABC"), "55000003 414243"),
        (
            UserInformation(
                extended=(ExtendedNegotiation(sop_class_uid="1.2", information=b"\x01\x00"),)
            ),
            "56000007 0003 312e32 0100",
        ),
        (
            UserInformation(
                common_extended=(
                    CommonExtendedNegotiation(
                        sop_class_uid="1.2", service_class_uid="1.4", related=("1.6", "1.8")
                    ),
                )
            ),
            "57000016 0003 312e32 0003 312e34 000a 0003 312e36 0003 312e38",
        ),
        (
            UserInformation(
                user_identity=UserIdentity(
                    kind=2, response_requested=True, primary=b"me", secondary=b"xyz"
                )
            ),
            "5800000b 02 01 0002 6d65 0003 78797a",
        ),
        (UserInformation(user_identity_answer=b"ok"), "59000004 0002 6f6b"),
    ],
    ids=[
        "nothing", "no limit", "maximum length", "implementation", "window", "role", "version",
        "extended", "common extended", "identity", "answer",
    ],
)  # fmt: skip
def test_each_item_byte_for_byte(user, written):
    assert encode(user) == bytes.fromhex(written)
    assert read(bytes.fromhex(written)) == user


ROLE = counted(UID.encode()) + b"\0\1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", UserInformation()),
        (sub(0x60, b"?") + sub(0x51, bytes(4)) + sub(0xFF, b""), UserInformation(maximum_length=0)),
        (b"\x51\xff\0\x04\0\0\x10\0", UserInformation(maximum_length=4096)),
        (sub(0x51, b"\0\0\x10\0\xff"), UserInformation(maximum_length=4096)),
        (
            sub(0x51, b"\0\0\0\1") + sub(0x51, b"\0\0\0\2"),
            UserInformation(maximum_length=2),
        ),
        (sub(0x52, b"1.2\0"), UserInformation(implementation_class_uid="1.2")),
        (sub(0x52, b"1.2 "), UserInformation(implementation_class_uid="1.2")),
        (sub(0x52, b"1.\xe92"), UserInformation(implementation_class_uid="1.\xe92")),
        (sub(0x52, b""), UserInformation(implementation_class_uid="")),
        (sub(0x55, b"OLD PACS \0"), UserInformation(implementation_version_name="OLD PACS")),
        (
            sub(0x55, b"LONGER THAN SIXTEEN"),
            UserInformation(implementation_version_name="LONGER THAN SIXTEEN"),
        ),
        (
            sub(0x54, counted(b"1.2\0") + b"\x02\xff"),
            UserInformation(roles=(RoleSelection(sop_class_uid="1.2", scu=True, scp=True),)),
        ),
        (
            sub(0x54, ROLE) + sub(0x54, ROLE),
            UserInformation(roles=(RoleSelection(sop_class_uid=UID, scu=False, scp=True),) * 2),
        ),
        (
            sub(0x54, ROLE + b"more"),
            UserInformation(roles=(RoleSelection(sop_class_uid=UID, scu=False, scp=True),)),
        ),
        (
            sub(0x56, counted(b"1.2")),
            UserInformation(extended=(ExtendedNegotiation(sop_class_uid="1.2", information=b""),)),
        ),
        (
            sub(0x58, b"\x01\x07" + counted(b"me")),
            UserInformation(
                user_identity=UserIdentity(kind=1, response_requested=True, primary=b"me")
            ),
        ),
        (
            sub(0x58, b"\x09\x00" + counted(b"") + counted(b"")),
            UserInformation(
                user_identity=UserIdentity(kind=9, response_requested=False, primary=b"")
            ),
        ),
    ],
    ids=[
        "nothing", "unknown items", "reserved byte", "longer maximum length", "the last counts",
        "padded UID", "UID with a space", "UID not of ASCII", "empty UID", "padded name",
        "long name", "roles other than 0 and 1", "a role twice", "more behind a role",
        "extended with nothing", "no secondary field", "unknown kind of identity",
    ],
)  # fmt: skip
def test_what_peers_get_wrong_without_harm_is_read(value, expected):
    assert read(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"\x51",
        b"\x51\0\0",
        b"\x51\0\0\x04\0\0\0",
        sub(0x51, bytes(4)) + b"\x52\0",
        b"\x77\0\xff\xff",
        sub(0x51, bytes(3)),
        sub(0x53, bytes(3)),
        sub(0x54, b""),
        sub(0x54, counted(b"1.2") + b"\1"),
        sub(0x54, b"\xff\xff1.2\0\1"),
        sub(0x56, b"\0"),
        sub(0x56, b"\0\x041.2"),
        sub(0x57, counted(b"1.2")),
        sub(0x57, counted(b"1.2") + counted(b"1.4")),
        sub(0x57, counted(b"1.2") + counted(b"1.4") + b"\0\x01\0"),
        sub(0x57, counted(b"1.2") + counted(b"1.4") + counted(b"\0\x091.6")),
        sub(0x58, b"\1"),
        sub(0x58, b"\1\0\0"),
        sub(0x58, b"\1\0\0\x03me"),
        sub(0x58, b"\2\0" + counted(b"me") + b"\0\x01"),
        sub(0x59, b"\0"),
        sub(0x59, b"\0\x01"),
    ],
    ids=lambda value: value.hex(),
)
def test_items_that_overrun_or_lack_something_are_refused(value):
    with pytest.raises(ItemError) as caught:
        read(value)
    assert "me" not in str(caught.value).split()
    assert "1.2" not in str(caught.value)


@given(st.binary(max_size=80) | st.binary(max_size=12).map(lambda b: sub(0x57, b)))
def test_any_bytes_give_values_or_an_item_error(value):
    with contextlib.suppress(ItemError):
        read(value)


@given(st.lists(st.tuples(st.integers(0x51, 0x5A), st.binary(max_size=16)), max_size=5))
def test_any_values_of_items_give_values_or_an_item_error(pairs):
    with contextlib.suppress(ItemError):
        read(b"".join(sub(kind, value) for kind, value in pairs))


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=5))
def test_items_come_out_one_after_the_other(pairs):
    holder = b"".join(sub(kind, value) for kind, value in pairs)

    assert [(kind, bytes(value)) for kind, value in items(memoryview(holder))] == pairs


@pytest.mark.parametrize(
    ("user", "field"),
    [
        (UserInformation(maximum_length=-1), "maximum_length"),
        (UserInformation(maximum_length=2**32), "maximum_length"),
        (UserInformation(implementation_class_uid=""), "implementation_class_uid"),
        (UserInformation(implementation_class_uid="1.2\0"), "implementation_class_uid"),
        (UserInformation(implementation_class_uid="1.\u0662"), "implementation_class_uid"),
        (UserInformation(implementation_class_uid="1" * 65), "implementation_class_uid"),
        (UserInformation(implementation_version_name=""), "implementation_version_name"),
        (UserInformation(implementation_version_name="A" * 17), "implementation_version_name"),
        (UserInformation(implementation_version_name="A\n"), "implementation_version_name"),
        (UserInformation(implementation_version_name="\xc4"), "implementation_version_name"),
        (
            UserInformation(
                asynchronous_operations=AsynchronousOperations(invoked=1, performed=-1)
            ),
            "asynchronous_operations.performed",
        ),
        (
            UserInformation(
                asynchronous_operations=AsynchronousOperations(invoked=65536, performed=1)
            ),
            "asynchronous_operations.invoked",
        ),
        (
            UserInformation(roles=(RoleSelection(sop_class_uid="CT", scu=True, scp=True),)),
            "roles.sop_class_uid",
        ),
        (
            UserInformation(extended=(ExtendedNegotiation(sop_class_uid="", information=b""),)),
            "extended.sop_class_uid",
        ),
        (
            UserInformation(
                extended=(ExtendedNegotiation(sop_class_uid=UID, information=bytes(65530)),)
            ),
            "extended.information",
        ),
        (
            UserInformation(
                common_extended=(
                    CommonExtendedNegotiation(
                        sop_class_uid=UID, service_class_uid=UID, related=("x",)
                    ),
                )
            ),
            "common_extended.related",
        ),
        (
            UserInformation(
                common_extended=(
                    CommonExtendedNegotiation(
                        sop_class_uid=UID, service_class_uid=UID, related=("1" * 64,) * 1000
                    ),
                )
            ),
            "common_extended.related",
        ),
        (
            UserInformation(
                user_identity=UserIdentity(kind=0, response_requested=False, primary=b"me")
            ),
            "user_identity.kind",
        ),
        (
            UserInformation(
                user_identity=UserIdentity(kind=6, response_requested=False, primary=b"me")
            ),
            "user_identity.kind",
        ),
        (
            UserInformation(
                user_identity=UserIdentity(
                    kind=1, response_requested=False, primary=b"me", secondary=b"hunter2"
                )
            ),
            "user_identity.secondary",
        ),
        (
            UserInformation(
                user_identity=UserIdentity(kind=5, response_requested=False, primary=bytes(65536))
            ),
            "user_identity.primary",
        ),
        (
            UserInformation(
                user_identity=UserIdentity(kind=5, response_requested=False, primary=bytes(65534))
            ),
            "user_identity",
        ),
        (UserInformation(user_identity_answer=bytes(65534)), "user_identity_answer"),
    ],
)
def test_what_must_not_be_sent_is_refused_by_the_name_of_its_field(user, field):
    with pytest.raises(ValueError, match=rf"^{field} ") as caught:
        encode(user)
    assert "hunter2" not in str(caught.value)


def test_no_repr_shows_who_asks():
    user = UserInformation(
        user_identity=UserIdentity(
            kind=2, response_requested=True, primary=b"mallory", secondary=b"hunter2"
        ),
        user_identity_answer=b"ticket",
    )

    assert "kind=2" in repr(user)
    for secret in ("mallory", "hunter2", "ticket"):
        assert secret not in repr(user)
