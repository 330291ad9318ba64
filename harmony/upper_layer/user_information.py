"""User information: what the two sides of an association tell of themselves.

PS3.8 9.3.2.3, 9.3.3.3 and D.1; PS3.7 D.3.3. `decode` is tolerant: it passes over items that it
does not know, and of an item that may be there once it takes the last. `encode` is strict.

The shape of all items, which those of `pdus` share, is here too: `items`, `item`, `uid_item` and
`uid_text` (PS3.8 9.3.1 and annex F).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_HEADER_BYTES: Final = 4  # type, reserved, length
_MAX_VALUE_BYTES: Final = 0xFFFF
_MAX_NAME: Final = 16  # characters, PS3.7 D.3.3.2.3

# PS3.8 D.1, PS3.7 D.3.3
_MAXIMUM_LENGTH: Final = 0x51
_IMPLEMENTATION_CLASS_UID: Final = 0x52
_ASYNCHRONOUS_OPERATIONS: Final = 0x53
_ROLE_SELECTION: Final = 0x54
_IMPLEMENTATION_VERSION_NAME: Final = 0x55
_EXTENDED: Final = 0x56
_COMMON_EXTENDED: Final = 0x57
_USER_IDENTITY: Final = 0x58
_USER_IDENTITY_ANSWER: Final = 0x59

_USERNAME_AND_PASSCODE: Final = 2
_LAST_IDENTITY_KIND: Final = 5  # JSON Web Token

_UID: Final = re.compile(r"[0-9.]{1,64}")


class ItemError(ValueError):
    """These bytes are no items as PS3.8 9.3.1 knows them; the text quotes none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsynchronousOperations:
    """How many operations may be under way at a time; 0 sets no limit. PS3.7 D.3.3.3."""

    invoked: int
    performed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSelection:
    """The roles of the association's requestor for a SOP class. PS3.7 D.3.3.4."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedNegotiation:
    """What a service class has two sides agree on. PS3.7 D.3.3.5."""

    sop_class_uid: str
    information: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonExtendedNegotiation:
    """The service class of a SOP class, and the general ones that it specialises. PS3.7 D.3.3.6."""

    sop_class_uid: str
    service_class_uid: str
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentity:
    """Who asks for the association. PS3.7 D.3.3.7.

    Attributes:
        kind: 1 user name, 2 user name and passcode, 3 Kerberos ticket, 4 SAML assertion, 5 JSON
            Web Token.
        primary: user name, ticket, assertion or token.
        secondary: passcode; of kind 2 alone.
    """

    kind: int
    response_requested: bool
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInformation:
    """All user-information items; None or nothing stands for items that are absent.

    Attributes:
        maximum_length: most bytes of a P-DATA-TF, without its header, that this side receives; 0
            and None set no limit. PS3.8 D.1.
        user_identity: in requests alone.
        user_identity_answer: in acceptances alone.
    """

    maximum_length: int | None = None
    implementation_class_uid: str | None = None
    implementation_version_name: str | None = None
    asynchronous_operations: AsynchronousOperations | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    common_extended: tuple[CommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    user_identity_answer: bytes | None = field(default=None, repr=False)


def encode(user: UserInformation) -> bytes:
    """Write the value of a user information item, sub-items in ascending order of type.

    Raises:
        ValueError: names the field that must not be sent so.
    """
    parts: list[bytes] = []
    if user.maximum_length is not None:
        parts.append(item(_MAXIMUM_LENGTH, _number(user.maximum_length, 4, "maximum_length")))
    if (uid := user.implementation_class_uid) is not None:
        parts.append(uid_item(_IMPLEMENTATION_CLASS_UID, uid, "implementation_class_uid"))
    if (window := user.asynchronous_operations) is not None:
        invoked = _number(window.invoked, 2, "asynchronous_operations.invoked")
        performed = _number(window.performed, 2, "asynchronous_operations.performed")
        parts.append(item(_ASYNCHRONOUS_OPERATIONS, invoked + performed))
    for role in user.roles:
        uid_field = _counted_uid(role.sop_class_uid, "roles.sop_class_uid")
        parts.append(item(_ROLE_SELECTION, uid_field + bytes((role.scu, role.scp))))
    if (name := user.implementation_version_name) is not None:
        parts.append(item(_IMPLEMENTATION_VERSION_NAME, _version_name(name)))
    for extended in user.extended:
        uid_field = _counted_uid(extended.sop_class_uid, "extended.sop_class_uid")
        parts.append(item(_EXTENDED, uid_field + extended.information, "extended.information"))
    parts += [_common_extended(common) for common in user.common_extended]
    if user.user_identity is not None:
        parts.append(_user_identity(user.user_identity))
    if user.user_identity_answer is not None:
        answer = _counted(user.user_identity_answer, "user_identity_answer")
        parts.append(item(_USER_IDENTITY_ANSWER, answer, "user_identity_answer"))
    return b"".join(parts)


def decode(value: memoryview) -> UserInformation:
    """Read the value of a user information item; what is kept of it is copied.

    Raises:
        ItemError: a sub-item overruns what holds it, or is too short for what it must hold.
    """
    maximum_length: int | None = None
    class_uid: str | None = None
    version_name: str | None = None
    window: AsynchronousOperations | None = None
    roles: list[RoleSelection] = []
    extended: list[ExtendedNegotiation] = []
    common_extended: list[CommonExtendedNegotiation] = []
    identity: UserIdentity | None = None
    identity_answer: bytes | None = None
    for kind, sub in items(value):
        if kind == _MAXIMUM_LENGTH:
            maximum_length = int.from_bytes(at_least(sub, 4)[:4], "big")
        elif kind == _IMPLEMENTATION_CLASS_UID:
            class_uid = uid_text(sub)
        elif kind == _ASYNCHRONOUS_OPERATIONS:
            window = AsynchronousOperations(
                invoked=int.from_bytes(at_least(sub, 4)[:2], "big"),
                performed=int.from_bytes(sub[2:4], "big"),
            )
        elif kind == _ROLE_SELECTION:
            uid, rest = _split(sub)
            scu, scp = at_least(rest, 2)[:2]
            roles.append(RoleSelection(sop_class_uid=uid_text(uid), scu=scu != 0, scp=scp != 0))
        elif kind == _IMPLEMENTATION_VERSION_NAME:
            version_name = uid_text(sub)
        elif kind == _EXTENDED:
            uid, rest = _split(sub)
            extended.append(
                ExtendedNegotiation(sop_class_uid=uid_text(uid), information=bytes(rest))
            )
        elif kind == _COMMON_EXTENDED:
            common_extended.append(_read_common_extended(sub))
        elif kind == _USER_IDENTITY:
            identity = _read_user_identity(sub)
        elif kind == _USER_IDENTITY_ANSWER:
            identity_answer = bytes(_split(sub)[0])
    return UserInformation(
        maximum_length=maximum_length,
        implementation_class_uid=class_uid,
        implementation_version_name=version_name,
        asynchronous_operations=window,
        roles=tuple(roles),
        extended=tuple(extended),
        common_extended=tuple(common_extended),
        user_identity=identity,
        user_identity_answer=identity_answer,
    )


# Items of any kind


def items(holder: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and value of each item in what holds them, one after the other. PS3.8 9.3.1.

    Raises:
        ItemError: an item ends behind what holds it.
    """
    at, end = 0, len(holder)
    while at < end:
        start = at + _HEADER_BYTES
        if start > end:
            raise ItemError("an item ends within its header")
        stop = start + (holder[at + 2] << 8 | holder[at + 3])
        if stop > end:
            raise ItemError("an item is longer than what holds it")
        yield holder[at], holder[start:stop]
        at = stop


def item(kind: int, value: bytes, name: str = "item") -> bytes:
    """Write one item.

    Raises:
        ValueError: the value of `name` is too long for the two bytes of its length.
    """
    return bytes((kind, 0)) + _counted(value, name)


def uid_text(value: memoryview) -> str:
    """Read a UID, or another short text, as it stands there, without padding behind it.

    What is not ASCII is kept, and as a UID matches nothing. PS3.8 annex F.
    """
    return str(value, "latin-1").rstrip("\0 ")


def _uid_bytes(uid: str, name: str) -> bytes:
    """Write a UID, unpadded. PS3.8 annex F.

    Raises:
        ValueError: what `name` holds is none.
    """
    if not _UID.fullmatch(uid):
        raise ValueError(f"{name} is no UID: 1 to 64 digits and dots")
    return uid.encode("ascii")


def uid_item(kind: int, uid: str, name: str) -> bytes:
    """Write an item that holds a UID alone.

    Raises:
        ValueError: what `name` holds is none.
    """
    value = _uid_bytes(uid, name)
    return bytes((kind, 0, 0, len(value))) + value


def at_least(value: memoryview, size: int) -> memoryview:
    """The same value, which holds so many bytes.

    Raises:
        ItemError: it does not.
    """
    if len(value) < size:
        raise ItemError("an item is too short for what it must hold")
    return value


def _split(value: memoryview) -> tuple[memoryview, memoryview]:
    """A part behind its length of two bytes, and what follows it."""
    end = 2 + int.from_bytes(at_least(value, 2)[:2], "big")
    return at_least(value, end)[2:end], value[end:]


def _counted(value: bytes, name: str) -> bytes:
    if len(value) > _MAX_VALUE_BYTES:
        raise ValueError(f"{name} is too long: {len(value)} bytes, at most {_MAX_VALUE_BYTES}")
    return len(value).to_bytes(2, "big") + value


def _counted_uid(uid: str, name: str) -> bytes:
    return _counted(_uid_bytes(uid, name), name)


def _number(value: int, size: int, name: str) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise ValueError(f"{name} does not fit into {size} bytes: {value}") from None


# Single sub-items


def _version_name(name: str) -> bytes:
    # ISO 646, basic G0 set: PS3.7 D.3.3.2.3
    if not (1 <= len(name) <= _MAX_NAME and name.isascii() and name.isprintable()):
        raise ValueError(
            f"implementation_version_name is not 1 to {_MAX_NAME} printable characters of ASCII"
        )
    return name.encode("ascii")


def _common_extended(common: CommonExtendedNegotiation) -> bytes:
    """PS3.7 table D.3-12; byte 2 is the version of the sub-item, which is 0."""
    related = b"".join(_counted_uid(uid, "common_extended.related") for uid in common.related)
    return item(
        _COMMON_EXTENDED,
        _counted_uid(common.sop_class_uid, "common_extended.sop_class_uid")
        + _counted_uid(common.service_class_uid, "common_extended.service_class_uid")
        + _counted(related, "common_extended.related"),
        "common_extended.related",
    )


def _read_common_extended(value: memoryview) -> CommonExtendedNegotiation:
    sop_class, rest = _split(value)
    service_class, rest = _split(rest)
    listed, _ = _split(rest)
    related: list[str] = []
    while listed:
        uid, listed = _split(listed)
        related.append(uid_text(uid))
    return CommonExtendedNegotiation(
        sop_class_uid=uid_text(sop_class),
        service_class_uid=uid_text(service_class),
        related=tuple(related),
    )


def _user_identity(identity: UserIdentity) -> bytes:
    """PS3.7 table D.3-14."""
    if not 1 <= identity.kind <= _LAST_IDENTITY_KIND:
        raise ValueError(f"user_identity.kind is not 1 to {_LAST_IDENTITY_KIND}: {identity.kind}")
    if identity.secondary and identity.kind != _USERNAME_AND_PASSCODE:
        raise ValueError("user_identity.secondary goes with kind 2 alone")
    return item(
        _USER_IDENTITY,
        bytes((identity.kind, identity.response_requested))
        + _counted(identity.primary, "user_identity.primary")
        + _counted(identity.secondary, "user_identity.secondary"),
        "user_identity",
    )


def _read_user_identity(value: memoryview) -> UserIdentity:
    kind, response_requested = at_least(value, 2)[:2]
    primary, rest = _split(value[2:])
    # Some leave out the length of a secondary field that is not there.
    secondary = _split(rest)[0] if rest else rest
    return UserIdentity(
        kind=kind,
        response_requested=response_requested != 0,
        primary=bytes(primary),
        secondary=bytes(secondary),
    )
