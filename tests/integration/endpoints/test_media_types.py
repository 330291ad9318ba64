"""What a client accepts or sends, and what it gets: status and media type, end to end.

A row is an ``Accept`` (or for a store a ``Content-Type``) and the expected answer: the media type
of a 200 up to its boundary, or the status of a problem document.
"""

from __future__ import annotations

import pytest
import trio

from harmony.dicom.part10 import file_head
from tests.integration.endpoints.test_dicomweb_truth import GOOD, OF_IMAGE, SERIES, STUDY
from tests.support.bad_pacs import bad_pacs
from tests.support.gateway import gateway

SECONDS = 30
JSON, XML = "application/dicom+json", "application/dicom+xml"
DICOM, OCTETS = "application/dicom", "application/octet-stream"
PLAIN, IMPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"
PROBLEM = "application/problem+json"
Row = tuple[str | None, int | str]


def related(kind: str, *more: str) -> str:
    return "; ".join(('multipart/related; type="' + kind + '"', *more))


DICOM_PARTS, OCTET_PARTS = related(DICOM), related(OCTETS)
SYNTAX = f"{DICOM}; transfer-syntax={PLAIN}"
FRAME = f"{OCTETS}; transfer-syntax={PLAIN}"

SEARCH: tuple[Row, ...] = (
    (None, JSON),
    ("*/*", JSON),
    ("application/*", JSON),
    (JSON, JSON),
    ("application/json", "application/json"),
    (f"{JSON};q=0.1, application/json", "application/json"),
    (f"{JSON};q=0, */*", "application/json"),
    (related(XML), related(XML)),
    ("multipart/related; type=application/dicom+xml", related(XML)),
    (XML, 406),
    (DICOM, 406),
    ("text/html", 406),
    ("text/html, */*;q=0.1", JSON),
    ("application/dicom+json, application/json, text/plain, */*", JSON),
    ("text", 400),
    ("application/json;q=2", 400),
    ("a" * 9000, 400),
)
METADATA: tuple[Row, ...] = (
    (None, JSON),
    ("*/*", JSON),
    (JSON, JSON),
    ("application/json", "application/json"),
    (related(XML), related(XML)),
    (f"{related(XML)}, {JSON};q=0.5", related(XML)),
    (related(JSON), 406),
    (DICOM_PARTS, 406),
    (OCTETS, 406),
    ("image/jpeg", 406),
)
SERIES_OF: tuple[Row, ...] = (
    (None, DICOM_PARTS),
    ("*/*", DICOM_PARTS),
    ("multipart/related", DICOM_PARTS),
    (DICOM_PARTS, DICOM_PARTS),
    ("multipart/related; type=application/dicom", DICOM_PARTS),
    (related("*/*"), DICOM_PARTS),
    (related(DICOM, "transfer-syntax=*"), DICOM_PARTS),
    (related(DICOM, f"transfer-syntax={PLAIN}"), DICOM_PARTS),
    (related(DICOM, f"transfer-syntax={IMPLICIT}"), DICOM_PARTS),
    (related(DICOM, f"transfer-syntax={JPEG}"), 406),
    (related(DICOM, "transfer-syntax=1.2.3"), 406),
    (
        f"{related(DICOM, f'transfer-syntax={JPEG}')}, {related(DICOM, 'transfer-syntax=*')}",
        DICOM_PARTS,
    ),
    (DICOM, 406),
    (JSON, 406),
    (OCTET_PARTS, 406),
    (related("image/jpeg"), 406),
    (f"{DICOM_PARTS};q=0", 406),
    ("application/*", 406),
)
INSTANCE: tuple[Row, ...] = (
    (None, DICOM_PARTS),
    ("*/*", DICOM_PARTS),
    (DICOM_PARTS, DICOM_PARTS),
    (DICOM, SYNTAX),
    (f"{DICOM}; transfer-syntax=*", SYNTAX),
    (f"{DICOM}; transfer-syntax={PLAIN}", SYNTAX),
    (f"{DICOM}; transfer-syntax={IMPLICIT}", f"{DICOM}; transfer-syntax={IMPLICIT}"),
    (f"{DICOM}; transfer-syntax={JPEG}", 406),
    (f"{DICOM};q=0.9, {DICOM_PARTS}", DICOM_PARTS),
    (f"{DICOM}, {DICOM_PARTS};q=0.9", SYNTAX),
    ("application/*", SYNTAX),
    (JSON, 406),
    ("image/png", 406),
    ("", DICOM_PARTS),
)
FRAMES: tuple[Row, ...] = (
    (None, OCTET_PARTS),
    ("*/*", OCTET_PARTS),
    (OCTET_PARTS, OCTET_PARTS),
    ("multipart/related; type=application/octet-stream; transfer-syntax=*", OCTET_PARTS),
    (related(OCTETS, f"transfer-syntax={PLAIN}"), OCTET_PARTS),
    (related(OCTETS, f"transfer-syntax={JPEG}"), 406),
    (OCTETS, FRAME),
    (f"{OCTETS}; transfer-syntax=*", FRAME),
    ("application/*", FRAME),
    (related("image/jpeg"), 406),
    ("image/jpeg", 406),
    (related("image/jls", "transfer-syntax=*"), 406),
    (f"{related('image/jpeg')}, {OCTET_PARTS};q=0.1", OCTET_PARTS),
    (DICOM_PARTS, 406),
    (JSON, 406),
)
BULK: tuple[Row, ...] = (
    (None, OCTET_PARTS),
    ("*/*", OCTET_PARTS),
    (OCTETS, OCTETS),
    (OCTET_PARTS, OCTET_PARTS),
    ("application/*", OCTETS),
    ("image/jpeg", 406),
    (DICOM, 406),
    (JSON, 406),
)
RENDERED: tuple[Row, ...] = (
    (None, "image/jpeg"),
    ("*/*", "image/jpeg"),
    ("image/*", "image/jpeg"),
    ("image/jpeg", "image/jpeg"),
    ("image/png", "image/png"),
    ("image/png;q=0.9, image/jpeg;q=0.8", "image/png"),
    ("image/gif", 406),
    ("video/mp4", 406),
    ("application/pdf", 406),
    (JSON, 406),
    (related("image/jpeg"), 406),
    ("image/gif, image/*;q=0.1", "image/jpeg"),
)
RENDERED_SERIES: tuple[Row, ...] = (
    (None, related("image/jpeg")),
    (related("image/jpeg"), related("image/jpeg")),
    (related("image/png"), related("image/png")),
    (related("image/*"), related("image/jpeg")),
    ("image/jpeg", 406),
    ("image/png", 406),
    (DICOM_PARTS, 406),
)
GETS = {
    "search": ("/studies", SEARCH),
    "metadata": (f"{STUDY}/metadata", METADATA),
    "series": (STUDY + SERIES, SERIES_OF),
    "instance": (OF_IMAGE, INSTANCE),
    "frames": (f"{OF_IMAGE}/frames/1", FRAMES),
    "bulk": (f"{OF_IMAGE}/bulk/7FE00010", BULK),
    "rendered": (f"{OF_IMAGE}/rendered", RENDERED),
    "thumbnail": (f"{OF_IMAGE}/thumbnail", RENDERED),
    "rendered series": (f"{STUDY}{SERIES}/rendered", RENDERED_SERIES),
}
BOUNDARY = "boundary=b"
STORE: tuple[Row, ...] = (
    (DICOM, JSON),
    (related(DICOM, BOUNDARY), JSON),
    ("multipart/related; type=application/dicom; boundary=b", JSON),
    ('MULTIPART/RELATED; TYPE="APPLICATION/DICOM"; BOUNDARY=b', JSON),
    ('multipart/related; boundary="b"; type="application/dicom"', JSON),
    ("multipart/related; boundary=b", JSON),
    ("application/DICOM; charset=utf-8", JSON),
    (None, 415),
    ("", 415),
    ("application/json", 415),
    (JSON, 415),
    (related(JSON, BOUNDARY), 415),
    (related(XML, BOUNDARY), 415),
    (OCTETS, 415),
    ("application/zip", 415),
    ("multipart/form-data; boundary=b", 415),
    ("multipart/mixed; boundary=b", 415),
    ("text/html", 415),
    (related(DICOM), 400),
    (related(DICOM, "boundary="), 400),
    (related(DICOM, f"boundary={'b' * 71}"), 400),
    (related(DICOM, 'boundary="b "'), 400),
    (related(DICOM, "boundary=other"), 400),
)


def test_the_table_is_long_enough() -> None:
    assert sum(len(rows) for _, rows in GETS.values()) + len(STORE) >= 120


def kind_of(content_type: str) -> str:
    return content_type.partition("; boundary=")[0]


def expected(wanted: int | str) -> tuple[int, str]:
    return (wanted, PROBLEM) if isinstance(wanted, int) else (200, wanted)


@pytest.mark.parametrize("name", GETS)
async def test_what_is_accepted_is_what_comes_or_a_problem(name: str) -> None:
    path, rows = GETS[name]
    with trio.fail_after(SECONDS), bad_pacs(GOOD) as peer:
        async with gateway(port=peer.port, dicomweb={}) as running:
            for accept, wanted in rows:
                del running.client.headers["accept"]
                headers = {} if accept is None else {"accept": accept}
                answer = await running.client.get(running.dicomweb + path, headers=headers)
                running.client.headers["accept"] = "*/*"
                got = answer.status_code, kind_of(answer.headers["content-type"])
                assert got == expected(wanted), accept
                # By the parameter it is the same. PS3.18 8.3.3.1.
                if accept:
                    answer = await running.client.get(
                        running.dicomweb + path, params={"accept": accept}
                    )
                    got = answer.status_code, kind_of(answer.headers["content-type"])
                    assert got == expected(wanted), accept


async def test_what_is_sent_is_stored_or_a_problem_and_nothing_in_halves() -> None:
    file = file_head(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3.4.0",
        transfer_syntax=PLAIN,
    )
    file += b"\x10\x00\x20\x00LO\x02\x00P1"
    parts = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--b--\r\n"
    with trio.fail_after(SECONDS), bad_pacs(GOOD) as peer:
        async with gateway(port=peer.port, dicomweb={}) as running:
            stored = 0
            for kind, wanted in STORE:
                headers = {} if kind is None else {"content-type": kind}
                alone = kind is not None and kind.lower().startswith("application/dicom")
                answer = await running.client.post(
                    f"{running.dicomweb}/studies",
                    content=file if alone else parts,
                    headers=headers,
                )
                got = answer.status_code, kind_of(answer.headers["content-type"])
                assert got == expected(wanted), kind
                stored += not isinstance(wanted, int)
            sent = [each for each in peer.requests if each.kind == "C-STORE-RQ"]
            assert len(sent) == stored
