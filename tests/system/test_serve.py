"""``harmony serve`` from outside: start lines, requests, signals, exit codes."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import httpx2
import pytest
import trio

from tests.support.bad_pacs import Final, Rows, Script, Silence, bad_pacs
from tests.support.dimse import rows
from tests.support.eventually import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "default"
FIND = {"study_instance_uid": "1.2.3", "query_level": "STUDY"}


def write(folder: Path, *, pacs: int = 1, http: int = 0, admin: int = 0, proxy: str = "") -> Path:
    file = folder / "config.toml"
    file.write_text(
        f"""\
[proxy]
{proxy}

[admin]
port = {admin}

[networks.default]
http = {{ port = {http} }}

[pipelines.bridge]
endpoints = ["web"]
backends = ["pacs"]

[endpoints.web]
service = "http"
options = {{ path_prefix = "/dicom" }}

[backends.pacs]
service = "dicom"
[backends.pacs.options]
aet = "PACS"
host = "127.0.0.1"
port = {pacs}
local_aet = "HARMONY"
"""
    )
    return file


async def test_it_prints_where_it_listens_and_serves_there(serve, tmp_path):
    with bad_pacs(Script()) as peer:
        async with serve(write(tmp_path, pacs=peer.port)) as served:
            assert 4 <= len(served.start_lines) <= 10
            assert not served.url.endswith(":0")
            async with served.client() as client:
                answer = await client.post("/dicom/echo")
                assert answer.status_code == 200
                await eventually(lambda: served.events("exchange.finished"))
            ready = await served.admin("/readyz")
            assert ready.status_code == 200
            ports = {found["name"]: found["port"] for found in ready.json()["listeners"]}
            assert served.url.endswith(f":{ports['default']}")
            assert served.admin_url.endswith(f":{ports['admin']}")
            served.send(signal.SIGTERM)
            assert await served.ended() == 0
    assert served.events("daemon.ready")
    assert served.events("peer.up")
    (told,) = served.events("exchange.finished")
    assert (told["pipeline"], told["operation"], told["outcome"]) == ("bridge", "echo", "ok")
    assert told["request_id"] == answer.headers["x-request-id"]


async def test_the_example_serves_as_it_stands_but_for_its_ports(serve, tmp_path):
    with bad_pacs(Script()) as peer:
        for file in EXAMPLE.rglob("*.toml"):
            copy = tmp_path / file.relative_to(EXAMPLE)
            copy.parent.mkdir(exist_ok=True)
            text = file.read_text().replace("8080", "0").replace("9090", "0")
            text = text.replace("port = 4242", f"port = {peer.port}")
            copy.write_text(text.replace('"localhost"', '"127.0.0.1"'))
        async with serve(tmp_path / "config.toml") as served, served.client() as client:
            assert (await client.post("/dicom/echo")).json()["success"] is True


async def test_metrics_count_what_happened(serve, tmp_path):
    with bad_pacs(Script(find=(Rows(rows(3)), Final()))) as peer:
        async with serve(write(tmp_path, pacs=peer.port)) as served:
            async with served.client() as client:
                assert len((await client.post("/dicom/find", json=FIND)).json()) == 3
                await eventually(lambda: served.events("exchange.finished"))
                text = (await served.admin("/metrics")).text
    assert 'harmony_exchanges_total{operation="find",outcome="ok",pipeline="bridge"} 1.0' in text
    assert 'harmony_peer_up{backend="pacs"} 1.0' in text
    assert 'harmony_associations{backend="pacs",state="busy"} 0.0' in text


async def test_a_dead_pacs_is_told_and_is_no_unreadiness(serve, tmp_path):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen: it refuses
        async with serve(write(tmp_path, pacs=bound.getsockname()[1])) as served:
            await eventually(lambda: served.events("peer.down"), seconds=10)
            assert (await served.admin("/readyz")).status_code == 200
            async with served.client() as client:
                assert (await client.post("/dicom/echo")).status_code == 502
            assert 'harmony_peer_up{backend="pacs"} 0.0' in (await served.admin("/metrics")).text


async def test_on_sigterm_a_request_in_progress_is_finished_and_no_other_accepted(serve, tmp_path):
    go_on = threading.Event()

    def when_told(request):
        go_on.wait(30)
        return (Rows(rows(2)), Final())

    with bad_pacs(Script(find=when_told)) as peer:
        async with serve(write(tmp_path, pacs=peer.port)) as served, served.client() as client:
            answers = []

            async def ask():
                answers.append(await client.post("/dicom/find", json=FIND))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await eventually(lambda: any(r.kind == "C-FIND-RQ" for r in peer.requests))
                served.send(signal.SIGTERM)
                await eventually(lambda: served.events("daemon.draining"))
                ready = await served.admin("/readyz")
                assert (ready.status_code, ready.json()["state"]) == (503, "draining")
                async with served.client() as late:
                    with pytest.raises(httpx2.TransportError):
                        await late.post("/dicom/echo")
                go_on.set()
            assert answers[0].status_code == 200
            assert len(answers[0].json()) == 2
            assert await served.ended() == 0
    assert served.events("daemon.stopped")[0]["code"] == 0


async def test_what_is_not_done_within_the_grace_is_cut_and_the_drain_still_clean(serve, tmp_path):
    with bad_pacs(Script(find=(Silence(),))) as peer:
        async with serve(write(tmp_path, pacs=peer.port, proxy="grace_seconds = 0.3")) as served:
            await cut_off(served, peer, [signal.SIGTERM])
            assert await served.ended() == 0


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ((signal.SIGINT, signal.SIGINT), 130),
        ((signal.SIGTERM, signal.SIGTERM), 143),
        ((signal.SIGTERM, signal.SIGINT), 130),
    ],
    ids=["int-int", "term-term", "term-int"],
)
async def test_the_second_signal_ends_it_at_once(serve, tmp_path, signals, code):
    with bad_pacs(Script(find=(Silence(),))) as peer:
        async with serve(write(tmp_path, pacs=peer.port, proxy="grace_seconds = 600")) as served:
            await cut_off(served, peer, signals)
            assert await served.ended() == code


async def cut_off(served, peer, signals):
    """Ask for what never comes, send the signals, and see the request fail, not end."""
    async with served.client() as client, trio.open_nursery() as nursery:

        async def ask():
            with pytest.raises(httpx2.TransportError):
                await client.post("/dicom/find", json=FIND)

        nursery.start_soon(ask)
        await eventually(lambda: any(r.kind == "C-FIND-RQ" for r in peer.requests))
        for number in signals:
            served.send(number)
            await eventually(lambda: served.events("daemon.draining"))


async def test_hup_and_usr2_are_answered_in_the_log_and_end_nothing(serve, tmp_path):
    async with serve(write(tmp_path)) as served:
        served.send(signal.SIGHUP)
        await eventually(lambda: served.events("config.reload_unsupported"))
        served.send(signal.SIGUSR2)
        await eventually(lambda: served.events("dump.finished"))
        assert (await served.admin("/healthz")).status_code == 200
        served.send(signal.SIGINT)
        assert await served.ended() == 0
    assert served.events("dump.task")
    assert served.events("dump.thread")


async def test_a_file_with_mistakes_starts_nothing(serve, tmp_path):
    file = write(tmp_path)
    file.write_text(file.read_text().replace("local_aet", "locl_aet"))
    async with serve(file) as served:
        assert await served.ended() == 78
    assert served.start_lines == []
    told = served.log.read_text()
    assert "HRM-E" in told
    assert "locl_aet" in told
    assert '"event"' not in told


async def test_a_file_that_is_not_there_starts_nothing(serve, tmp_path):
    async with serve(tmp_path / "none.toml") as served:
        assert await served.ended() == 78
    assert "HRM-E001" in served.log.read_text()


@pytest.mark.parametrize(
    ("which", "table"), [("http", "[networks.default.http]"), ("admin", "[admin]")]
)
async def test_an_address_in_use_is_one_line_that_names_it_and_the_key(
    serve, tmp_path, which, table
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with serve(write(tmp_path, **{which: port})) as served:
            assert await served.ended() == 1
    assert served.start_lines == []
    (line,) = [line for line in served.log.read_text().splitlines() if line.startswith("harmony:")]
    assert f"127.0.0.1:{port}: address already in use" in line
    assert "`port`" in line
    assert table in line


async def test_an_environment_that_means_nothing_is_wrong_use(serve, tmp_path):
    environment = dict(os.environ, HARMONY_LOG_LEVEL="loud")
    async with serve(write(tmp_path), environment=environment) as served:
        assert await served.ended() == 2
    assert "HARMONY_LOG_LEVEL" in served.log.read_text()


async def test_nothing_of_a_patient_is_logged_even_at_the_most_talkative(serve, tmp_path):
    mark = "Beeblebrox"
    found = rows(2)
    for row in found:
        row.PatientName = f"{mark}^Zaphod"
    query = {"patient_name": f"{mark}*", "query_level": "STUDY"}
    with bad_pacs(Script(find=(Rows(found), Final()))) as peer:
        async with serve(write(tmp_path, pacs=peer.port), "--log-level", "debug") as served:
            async with served.client() as client:
                answer = await client.post("/dicom/find", json=query)
                assert mark in answer.text
                wrong = await client.post("/dicom/find", json={**query, "patient_nam": mark})
                assert wrong.status_code == 400
            served.send(signal.SIGUSR2)
            await eventually(lambda: served.events("dump.finished"))
            served.send(signal.SIGTERM)
            assert await served.ended() == 0
    assert served.events("exchange.finished")
    assert mark not in served.log.read_text()
