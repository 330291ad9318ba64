"""A PACS as it is written on the command line."""

from __future__ import annotations

import pytest

from harmony.live.peers import Peer


@pytest.mark.parametrize(
    ("text", "aet", "host", "port"),
    [
        ("ORTHANC@10.0.0.5:4242", "ORTHANC", "10.0.0.5", 4242),
        ("MY PACS@pacs.hospital.test:104", "MY PACS", "pacs.hospital.test", 104),
        ("A@B@pacs:1", "A@B", "pacs", 1),  # an at sign may be in a title
        ("PACS@[fd00::5]:65535", "PACS", "fd00::5", 65535),
    ],
)
def test_peers(text: str, aet: str, host: str, port: int) -> None:
    assert Peer.parse(text) == Peer(aet=aet, host=host, port=port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PACS",
        "PACS@host",
        "host:104",
        "@host:104",
        "   @host:104",
        "SEVENTEEN LETTERS@host:104",
        "PA\\CS@host:104",
        "PÄCS@host:104",
        "PACS\n@host:104",
        "PACS@:104",
        "PACS@fd00::5:104",
        'PACS@ho"st:104',
        "PACS@ho st:104",
        "PACS@host\n:104",
        "PACS@host:0",
        "PACS@host:65536",
        "PACS@host:104\n",
        "PACS@host:+104",
        "PACS@host:1\u06604",
        "PACS@host:" + "1" * 5000,
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is"):
        Peer.parse(text)
