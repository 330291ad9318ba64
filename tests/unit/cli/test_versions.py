import platform

import harmony
from harmony.cli import versions


def test_versions_of_everything_that_matters():
    lines = dict(line.split(" ", 1) for line in versions.version_text().splitlines())
    assert lines["harmony"] == harmony.__version__
    assert lines["python"] == platform.python_version()
    assert set(versions.LIBRARIES) < set(lines)
    assert "not installed" not in lines.values()


def test_a_library_that_is_not_there_is_said_to_be_so(monkeypatch):
    monkeypatch.setattr(versions, "LIBRARIES", ("no-such-library",))
    assert versions.version_text().endswith("no-such-library not installed\n")
