"""OHIF in a real Chromium, over Harmony, over DIMSE, over Orthanc: what a user sees.

`make test-browser` runs it. With ``HARMONY_SCREENSHOTS=folder`` it keeps its pictures.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Response, sync_playwright

from tests.support.pacs.process import ProcessPacs
from tests.support.processes import free_port
from tests.support.studies import Kind, MadeInstance, Plan, write_studies

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ohif"
BUILD = Path(os.environ.get("HARMONY_OHIF", ROOT / ".venvs" / "ohif")) / "package" / "dist"
CHROMIUM = shutil.which("chromium")
SECONDS = 60
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--proxy-server=direct://",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PLANS = {
    "CT": Plan(instances=20, size=256),
    "US": Plan(kinds=(Kind.US,), size=128, frames=10),
    "PDF": Plan(kinds=(Kind.PDF,)),
    "SR": Plan(kinds=(Kind.SR,)),
}
IMAGE = ".cornerstone-canvas"


@dataclass(frozen=True, slots=True)
class Viewer:
    """A viewer and the studies that it can show."""

    url: str
    studies: Mapping[str, list[MadeInstance]]

    def study(self, name: str) -> str:
        return f"{self.url}/viewer?StudyInstanceUIDs={self.studies[name][0].study_uid}"


@dataclass(slots=True)
class Watch:
    """A page, and what it heard and complained of."""

    page: Page
    answers: list[tuple[int, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def heard(self, response: Response) -> None:
        if "/dicom-web/" in response.url or response.status >= 400:
            self.answers.append((response.status, response.url))

    def asked_for(self, part: str) -> list[str]:
        return [url for _, url in self.answers if part in url]

    def settle(self) -> None:
        self.page.wait_for_load_state("networkidle", timeout=SECONDS * 1000)
        self.skip_tour()

    def skip_tour(self) -> None:
        if self.page.get_by_text("Skip all").count():  # a guided tour lies over the first study
            self.page.get_by_text("Skip all").click(timeout=3000)
        self.page.wait_for_timeout(1500)

    def picture(self, name: str, selector: str | None = None) -> np.ndarray:
        """What there is to see, as grey values; kept if somebody wants it."""
        folder = os.environ.get("HARMONY_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"ohif-{name}.png")
        target = self.page.locator(selector).first if selector else self.page
        return np.asarray(Image.open(BytesIO(target.screenshot())).convert("L"))


def missing(what: str) -> NoReturn:
    reason = f"{what}: run tools/install_browser.sh"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """The example as it is, with an Orthanc of this module's own behind it."""
    if CHROMIUM is None:
        missing("no Chromium")
    if not BUILD.joinpath("index.html").exists():
        missing("no build of OHIF")
    if shutil.which("Orthanc") is None:
        missing("no Orthanc")
    root = tmp_path_factory.mktemp("ohif")
    port = free_port()
    with ProcessPacs(root / "pacs") as pacs:
        studies = {}
        for name, plan in PLANS.items():
            studies[name] = write_studies(plan, root / name)
            pacs.load(made.file for made in studies[name])
        config = EXAMPLE.joinpath("config.toml").read_text()
        for written, here in (
            ("port = 4242", f"port = {pacs.port}"),
            ('folder = "package/dist"', f'folder = "{BUILD}"'),
            ('= "app-config.js"', f'= "{EXAMPLE / "app-config.js"}"'),
        ):
            assert written in config
            config = config.replace(written, here)
        here = f"[networks.default]\nhttp = {{ port = {port} }}\n[admin]\nport = 0\n"
        file = root / "config.toml"
        file.write_text(here + config)
        with harmony(file, port):
            yield Viewer(f"http://127.0.0.1:{port}", studies)


@contextlib.contextmanager
def harmony(config: Path, port: int) -> Iterator[None]:
    """Harmony, as users start it."""
    log = config.with_name("log")
    with log.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "harmony", "serve", config],
            stdout=told,
            stderr=told,
            cwd=ROOT,
        )
    try:
        deadline = time.monotonic() + 20
        while not listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        assert process.wait(40) == 0, log.read_text()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture
def watch() -> Iterator[Watch]:
    """A page of its own for each test; no request may fail, and no error be on its console."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        watched = Watch(page)
        page.on("response", lambda response: watched.heard(response))
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                watched.complaints.append(message.text) if message.type == "error" else None
            ),
        )
        yield watched
        browser.close()
    assert [answer for answer in watched.answers if answer[0] >= 400] == []
    assert watched.complaints == []


def test_the_list_shows_each_study_with_its_description(viewer, watch):
    watch.page.goto(viewer.url, wait_until="networkidle", timeout=SECONDS * 1000)
    watch.page.get_by_text("CT CHEST W CONTRAST").first.wait_for(timeout=SECONDS * 1000)
    watch.picture("list")
    text = watch.page.locator("tbody").last.inner_text()
    assert text.count("CT CHEST W CONTRAST") >= len(PLANS)
    for modality in ("CT", "US", "DOC", "SR"):
        assert modality in text


def test_a_series_of_images_is_shown_and_scrolled(viewer, watch):
    watch.page.goto(viewer.study("CT"), timeout=SECONDS * 1000)
    watch.page.locator(IMAGE).first.wait_for(timeout=SECONDS * 1000)
    watch.settle()
    first = watch.picture("ct", IMAGE)
    assert first.std() > 20  # neither black nor of one colour
    canvas = watch.page.locator(IMAGE).first
    canvas.hover()
    for _ in range(8):
        watch.page.mouse.wheel(0, 100)
        watch.page.wait_for_timeout(80)
    watch.settle()
    later = watch.picture("ct-scrolled", IMAGE)
    assert (first != later).any()
    assert len(set(watch.asked_for("/frames/1"))) == 20
    thumbnails = watch.page.locator("[data-cy='study-browser-thumbnail'] img")
    assert thumbnails.count() == 1


def test_a_cine_is_shown(viewer, watch):
    watch.page.goto(viewer.study("US"), timeout=SECONDS * 1000)
    watch.page.locator(IMAGE).first.wait_for(timeout=SECONDS * 1000)
    watch.settle()
    assert watch.picture("us", IMAGE).std() > 20
    assert len(set(watch.asked_for("/frames/"))) == 10


def test_a_document_is_shown_by_the_browser_itself(viewer, watch):
    watch.page.goto(viewer.study("PDF"), timeout=SECONDS * 1000)
    document = watch.page.locator("object, embed, iframe").first
    document.wait_for(timeout=SECONDS * 1000)
    watch.page.wait_for_timeout(2000)  # the browser's own viewer never comes to rest
    watch.skip_tour()
    assert watch.picture("pdf", "object, embed, iframe").max() == 255  # the page is white


def test_a_report_is_in_the_list_of_series(viewer, watch):
    watch.page.goto(viewer.study("SR"), timeout=SECONDS * 1000)
    watch.page.get_by_text("SR", exact=True).first.wait_for(timeout=SECONDS * 1000)
    watch.settle()
    assert watch.asked_for("/metadata")
