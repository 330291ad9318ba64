"""What a PACS writes into its answers comes to the caller and never to the log."""

from __future__ import annotations

import io
from dataclasses import asdict

import pytest
import trio

from harmony.telemetry.exchanges import Reporter
from harmony.telemetry.log import configured, get_logger
from harmony.telemetry.metrics import Metrics
from tests.support import dimse
from tests.support.bad_pacs import Final, Rows, Script, SendInstances, bad_pacs
from tests.support.eventually import eventually
from tests.support.gateway import gateway

pytestmark = pytest.mark.usefixtures("engine")

MARK = "ZQXDOE^JOHN"
OPTIONS = {"timeouts": asdict(dimse.IMPATIENT)}


async def test_an_error_comment_is_told_to_the_caller_and_not_logged() -> None:
    log = io.StringIO()
    final = (Final(0x0110, error_comment=MARK),)
    with trio.fail_after(30), configured("debug", "json", log):
        reporter = Reporter(get_logger("harmony.test"), Metrics())
        with bad_pacs(Script(echo=final, find=final)) as peer:
            async with gateway(port=peer.port, options=OPTIONS) as running:
                answer = await running.client.post("/find", json={"patient_id": MARK})
                await eventually(lambda: bool(running.observed.all))
                reporter.finished(running.observed.all[0])
                reporter.probed("pacs", await running.backend.probe())
    assert MARK in answer.json()["detail"]
    assert "processing-failure" in log.getvalue()
    assert MARK not in log.getvalue()


async def test_rows_and_keys_are_not_logged() -> None:
    log = io.StringIO()
    row = dimse.row(1)
    row.PatientName = MARK
    with trio.fail_after(30), configured("debug", "json", log):
        reporter = Reporter(get_logger("harmony.test"), Metrics())
        with bad_pacs(Script(find=(Rows([row]), Final()))) as peer:
            async with gateway(port=peer.port, options=OPTIONS) as running:
                answer = await running.client.post(f"/find?name={MARK}", json={"patient_id": MARK})
                await eventually(lambda: bool(running.observed.all))
                reporter.finished(running.observed.all[0])
    assert MARK in answer.text
    assert "exchange.finished" in log.getvalue()
    assert MARK not in log.getvalue()


async def test_uids_and_keys_of_dicomweb_are_not_logged() -> None:
    uid = "1.2.3.998877665544"
    log = io.StringIO()
    row = dimse.row(1)
    row.PatientName = MARK
    instance = dimse.instance(uid=f"{uid}.1")
    paths = [
        f"/studies?PatientName={MARK}&StudyInstanceUID={uid}",
        f"/studies?PatientNme={MARK}",
        f"/studies/{uid}",
        f"/studies/{uid}/metadata",
        f"/studies/{uid}/series/{uid}.0/instances/{uid}.1/frames/1",
        f"/studies/{uid}/series/{uid}.0/instances/{uid}.1/rendered",
        f"/studies/{uid}x",
    ]
    script = Script(find=(Rows([row]), Final()), get=(SendInstances([instance]), Final()))
    with trio.fail_after(30), configured("debug", "json", log):
        reporter = Reporter(get_logger("harmony.test"), Metrics())
        with bad_pacs(script) as peer:
            async with gateway(port=peer.port, options=OPTIONS) as running:
                for path in paths:
                    await running.client.get(running.dicomweb + path)
                await eventually(lambda: len(running.observed.all) >= len(paths) - 2)
                for summary in running.observed.all:
                    reporter.finished(summary)
                    assert uid not in repr(summary)
    assert log.getvalue().count("exchange.finished") >= len(paths) - 2
    assert uid not in log.getvalue()
    assert MARK not in log.getvalue()
