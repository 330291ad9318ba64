"""Which SOP classes are storage, and in which transfer syntaxes their instances come."""

from __future__ import annotations

import functools

from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]  # in no __all__

from harmony.dicom.uids import EXPLICIT_BIG_ENDIAN

_CLASSES = frozenset(("SOP Class", "Meta SOP Class", "Service Class"))
# Newer than pydicom's dictionary. pynetdicom adds some of them there, if it is loaded.
_NEWER_CLASSES = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.9.100.1",  # Waveform Presentation State
        "1.2.840.10008.5.1.4.1.1.9.100.2",  # Waveform Acquisition Presentation State
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
        "1.2.840.10008.5.1.4.1.1.66.8",  # Height Map Segmentation
    )
)
_NEWER_SYNTAXES = frozenset(
    (
        "1.2.840.10008.1.2.4.110",  # JPEG XL Lossless
        "1.2.840.10008.1.2.4.111",  # JPEG XL JPEG Recompression
        "1.2.840.10008.1.2.4.112",  # JPEG XL
        "1.2.840.10008.1.2.8.1",  # Deflated Image Frame Compression
    )
)
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
    return frozenset((listed | _NEWER_CLASSES) - _NOT_SENT)


@functools.cache
def other_services() -> frozenset[str]:
    """Abstract syntaxes of PS3.6 annex A that are not storage: worklists, printing and the like."""
    listed = {uid for uid, (name, kind, *_) in UID_dictionary.items() if kind in _CLASSES and name}
    return frozenset(listed - known_storage_classes())


@functools.cache
def known_transfer_syntaxes() -> frozenset[str]:
    """The transfer syntaxes of PS3.5 annex A, and big endian, which it had once."""
    current = {
        uid
        for uid, (_, kind, _, retired, *_) in UID_dictionary.items()
        if kind == "Transfer Syntax" and not retired
    }
    return frozenset(current | _NEWER_SYNTAXES | {EXPLICIT_BIG_ENDIAN})
