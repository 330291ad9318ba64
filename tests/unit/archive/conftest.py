"""An open archive on the disk of the test."""

import pytest

from harmony.archive.folder import Folder


@pytest.fixture
def folder(tmp_path):
    opened = Folder.open(tmp_path / "archive")
    yield opened
    opened.close()
