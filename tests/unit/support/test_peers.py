"""The real peers start, answer DIMSE, can be broken, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pydicom.data
import pytest

from tests.support.dcmqrscp import Destination, dcmqrscp
from tests.support.leak_watch import assert_nothing_left, snapshot
from tests.support.processes import accepts, run, succeeds
from tests.support.storescp import storescp

CT = Path(str(pydicom.data.get_testdata_file("CT_small.dcm", download=False)))
PATIENT = "1CT1"


def echoes(ae_title: str, host: str, port: int) -> bool:
    quick = ("--timeout", "2", "--acse-timeout", "2", "--dimse-timeout", "2")
    return succeeds("echoscu", *quick, "--call", ae_title, host, str(port))


def patients(pacs) -> int:
    return len(pacs.rest("GET", "/patients"))


def test_pacs_is_loaded_and_emptied(pacs_empty):
    assert echoes(pacs_empty.ae_title, pacs_empty.host, pacs_empty.port)
    assert not echoes("SOMEONE", pacs_empty.host, pacs_empty.port)
    pacs_empty.load([CT])
    assert patients(pacs_empty) == 1
    pacs_empty.reset()
    assert patients(pacs_empty) == 0


def test_pacs_moves_to_a_listener_here(pacs_empty, storescp):
    pacs_empty.load([CT])
    pacs_empty.add_modality(storescp.ae_title, pacs_empty.caller_host, storescp.port)
    run(
        *("movescu", "--patient", "--call", pacs_empty.ae_title, "--move", storescp.ae_title),
        *("--key", "QueryRetrieveLevel=PATIENT", "--key", f"PatientID={PATIENT}"),
        *(pacs_empty.host, str(pacs_empty.port)),
    )
    (received,) = storescp.files()
    assert pydicom.dcmread(received).PatientID == PATIENT


def test_pacs_is_killed_and_comes_back_with_its_studies(faulty_pacs):
    faulty_pacs.load([CT])
    faulty_pacs.kill()
    assert not accepts(faulty_pacs.host, faulty_pacs.port)
    faulty_pacs.start()
    assert patients(faulty_pacs) == 1


def test_frozen_pacs_accepts_connections_only(faulty_pacs):
    faulty_pacs.freeze()
    assert accepts(faulty_pacs.host, faulty_pacs.port)
    assert not echoes(faulty_pacs.ae_title, faulty_pacs.host, faulty_pacs.port)
    faulty_pacs.thaw()
    assert echoes(faulty_pacs.ae_title, faulty_pacs.host, faulty_pacs.port)


@pytest.mark.parametrize("how", ["drop", "reset", "unplug"])
def test_network_is_cut_and_healed(faulty_pacs, how):
    faulty_pacs.cut(how)
    assert not accepts(faulty_pacs.host, faulty_pacs.port)
    faulty_pacs.heal()
    assert echoes(faulty_pacs.ae_title, faulty_pacs.host, faulty_pacs.port)


@pytest.mark.parametrize("how", ["slow", "lossy"])
def test_network_is_made_poor(faulty_pacs, how):
    faulty_pacs.cut(how)
    faulty_pacs.heal()
    assert echoes(faulty_pacs.ae_title, faulty_pacs.host, faulty_pacs.port)


def test_dcmqrscp_finds_and_moves(tmp_path, storescp):
    before = snapshot()
    to = Destination(ae_title=storescp.ae_title, port=storescp.port)
    with dcmqrscp(tmp_path / "qr", destinations=[to]) as peer:
        peer.load([CT])
        run(
            *("movescu", "--patient", "--call", peer.ae_title, "--move", storescp.ae_title),
            *("--key", "QueryRetrieveLevel=PATIENT", "--key", f"PatientID={PATIENT}"),
            *(peer.host, str(peer.port)),
        )
    assert len(storescp.files()) == 1
    assert_nothing_left(before)


def test_storescp_leaves_nothing_behind(tmp_path):
    before = snapshot()
    with storescp(tmp_path) as peer:
        assert echoes(peer.ae_title, "127.0.0.1", peer.port)
        run("storescu", "--call", peer.ae_title, "127.0.0.1", str(peer.port), CT)
        assert len(peer.files()) == 1
    assert not accepts("127.0.0.1", peer.port)
    assert_nothing_left(before)
