"""Which presentation contexts an operation asks for.

At most 128 fit into one association (PS3.8 9.3.2.2). Each transfer syntax of compressed data
gets a context of its own: peers that are offered several in one often choose an uncompressed
one, and then decompress, or fail.
"""

from __future__ import annotations

from collections.abc import Iterable

from harmony.dicom.reencode import suitable
from harmony.dicom.uids import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from harmony.dimse.link import Proposal
from harmony.envelope import Operation, Root

MAX_CONTEXTS = 128

VERIFICATION = "1.2.840.10008.1.1"
# PS3.4 C.6
FIND = {Root.PATIENT: "1.2.840.10008.5.1.4.1.2.1.1", Root.STUDY: "1.2.840.10008.5.1.4.1.2.2.1"}
MOVE = {Root.PATIENT: "1.2.840.10008.5.1.4.1.2.1.2", Root.STUDY: "1.2.840.10008.5.1.4.1.2.2.2"}
GET = {Root.PATIENT: "1.2.840.10008.5.1.4.1.2.1.3", Root.STUDY: "1.2.840.10008.5.1.4.1.2.2.3"}
# Composite Instance Retrieve Without Bulk Data, PS3.4 Z.
GET_WITHOUT_BULK = "1.2.840.10008.5.1.4.1.2.5.3"
MODELS = {Operation.FIND: FIND, Operation.MOVE: MOVE, Operation.GET: GET}

NATIVE = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)

_STORAGE = "1.2.840.10008.5.1.4.1.1."
# Images that archives hold compressed, as C-GET asks for them.
_COMPRESSIBLE = tuple(
    _STORAGE + tail
    for tail in (
        "2",  # CT
        "4",  # MR
        "1",  # CR
        "1.1",  # DX, for presentation
        "1.2",  # mammography, for presentation
        "6.1",  # US
        "3.1",  # US multi-frame
        "7",  # secondary capture
        "12.1",  # XA
    )
)
_COMPRESSED = (
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE
)
_OTHERS = tuple(
    _STORAGE + tail
    for tail in (
        "1.1.1",  # DX, for processing
        "1.2.1",  # mammography, for processing
        "1.3",  # intra-oral
        "2.1",  # enhanced CT
        "4.1",  # enhanced MR
        "4.2",  # MR spectroscopy
        "4.3",  # enhanced MR colour
        "6.2",  # enhanced US volume
        "7.1",  # multi-frame single bit SC
        "7.2",  # multi-frame grayscale byte SC
        "7.3",  # multi-frame grayscale word SC
        "7.4",  # multi-frame true colour SC
        "9.1.1",  # 12-lead ECG
        "9.1.2",  # general ECG
        "9.2.1",  # hemodynamic waveform
        "11.1",  # grayscale softcopy presentation state
        "11.2",  # colour softcopy presentation state
        "12.1.1",  # enhanced XA
        "12.2",  # RF
        "13.1.1",  # X-ray 3D angiographic
        "13.1.3",  # breast tomosynthesis
        "20",  # NM
        "30",  # parametric map
        "66",  # raw data
        "66.1",  # spatial registration
        "66.3",  # deformable registration
        "66.4",  # segmentation
        "66.5",  # surface segmentation
        "67",  # real world value mapping
        "77.1.1",  # VL endoscopic
        "77.1.2",  # VL microscopic
        "77.1.4",  # VL photographic
        "77.1.4.1",  # video photographic
        "77.1.5.1",  # ophthalmic photography 8 bit
        "77.1.5.4",  # ophthalmic tomography
        "77.1.6",  # VL whole slide
        "88.11",  # basic text SR
        "88.22",  # enhanced SR
        "88.33",  # comprehensive SR
        "88.34",  # comprehensive 3D SR
        "88.50",  # mammography CAD SR
        "88.59",  # key object selection
        "88.67",  # X-ray radiation dose SR
        "104.1",  # encapsulated PDF
        "104.2",  # encapsulated CDA
        "128",  # PET
        "130",  # enhanced PET
        "481.1",  # RT image
        "481.2",  # RT dose
        "481.3",  # RT structure set
        "481.4",  # RT beams treatment record
        "481.5",  # RT plan
    )
)


def for_queries() -> tuple[Proposal, ...]:
    """Verification, and C-FIND and C-MOVE of both models: one association serves them all."""
    models = (*FIND.values(), *MOVE.values())
    return tuple(Proposal(uid, NATIVE) for uid in (VERIFICATION, *models))


def for_get() -> tuple[Proposal, ...]:
    """C-GET of both models, and what may come back over the same association."""
    proposals = [Proposal(uid, NATIVE) for uid in GET.values()]
    for uid in _COMPRESSIBLE:
        for syntax in (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, *_COMPRESSED):
            proposals.append(Proposal(uid, (syntax,), receive=True))
    proposals += [Proposal(uid, NATIVE, receive=True) for uid in _OTHERS]
    return tuple(proposals)


def for_get_without_bulk() -> tuple[Proposal, ...]:
    """The same without pixel data, for which no transfer syntax matters."""
    return (
        Proposal(GET_WITHOUT_BULK, NATIVE),
        *(Proposal(uid, NATIVE, receive=True) for uid in (*_COMPRESSIBLE, *_OTHERS)),
    )


def for_store(wanted: Iterable[tuple[str, str]]) -> tuple[Proposal, ...]:
    """One context for each (SOP class, transfer syntax), in order, at most 128.

    What they can be re-encoded into comes after all of them, each in a context of its own: a
    peer that chooses among several must not choose that.
    """
    exact = list(dict.fromkeys(wanted))
    others = [(uid, other) for uid, syntax in exact for other in suitable(syntax)]
    unique = list(dict.fromkeys(exact + others))[:MAX_CONTEXTS]
    return tuple(Proposal(uid, (syntax,)) for uid, syntax in unique)
