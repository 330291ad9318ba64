"""Which SOP classes are storage, and in which transfer syntaxes their instances come."""

from __future__ import annotations

import functools

from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]  # in no __all__
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.presentation import AllStoragePresentationContexts

_CLASSES = frozenset(("SOP Class", "Meta SOP Class", "Service Class"))
_NOT_SENT = frozenset(
    (
        "1.2.840.10008.1.3.10",  # Media Storage Directory: of files only
        "1.2.840.10008.1.20.1",  # Storage Commitment, push model
        "1.2.840.10008.1.20.2",  # Storage Commitment, pull model
    )
)


@functools.cache
def known_storage_classes() -> frozenset[str]:
    """Storage SOP classes of PS3.6 annex A and of PS3.4 annex B, retired ones too.

    Archives are full of retired classes, and who has such instances must be able to move them.
    """
    listed = {
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name
    }
    current = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    return frozenset((listed | current) - _NOT_SENT)


@functools.cache
def other_services() -> frozenset[str]:
    """Abstract syntaxes of PS3.6 annex A that are not storage: worklists, printing and the like."""
    listed = {uid for uid, (name, kind, *_) in UID_dictionary.items() if kind in _CLASSES and name}
    return frozenset(listed - known_storage_classes())


@functools.cache
def known_transfer_syntaxes() -> frozenset[str]:
    """The transfer syntaxes of PS3.5 annex A."""
    return frozenset(str(uid) for uid in ALL_TRANSFER_SYNTAXES)
