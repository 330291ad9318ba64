"""What an association itself must read in an identifier: the list of failed instances."""

from __future__ import annotations

from harmony.dicom.elements import SYNTAXES, Malformed, parse

_FAILED_SOP_INSTANCE_UID_LIST = 0x00080058


def failed_instances(data: bytes, transfer_syntax: str) -> tuple[str, ...]:
    """UIDs of (0008,0058) in the identifier of a final response; empty if there are none.

    PS3.4 C.4.2.1.4.2. An identifier that cannot be read gives none, as it only adds detail to a
    failure that is known already.
    """
    try:
        elements = parse(data, SYNTAXES[transfer_syntax])
    except Malformed:
        return ()
    for tag, _, value in elements:
        if tag == _FAILED_SOP_INSTANCE_UID_LIST and isinstance(value, bytes):
            text = value.decode("ascii", "replace").strip("\0 ")
            return tuple(uid for uid in text.split("\\") if uid)
    return ()
