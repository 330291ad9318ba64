"""Start lines and settings of ``harmony serve``; the process itself is a system test."""

import argparse
from pathlib import Path

import pytest

import harmony
from harmony.admin.pages import BoundListener, Readiness
from harmony.cli.serve import MAX_START_LINES, BadVariable, log_settings, start_lines
from harmony.config.model import Configuration, Log, Network, Pipeline, Reference, Service
from harmony.interfaces import Listening


def configuration(pipelines=1, backends=1):
    return Configuration(
        file=Path("config.toml"),
        networks={"default": Network(name="default")},
        endpoints={},
        middleware={},
        backends={
            f"pacs{n}": Service(name=f"pacs{n}", service="dicom", options={})
            for n in range(backends + 1)
        },
        pipelines={
            f"bridge{n}": Pipeline(
                name=f"bridge{n}",
                endpoints=(f"web{n}",),
                backends=tuple(Reference(name=f"pacs{m}") for m in range(backends)),
            )
            for n in range(pipelines)
        },
    )


def ready(networks=1):
    admin = BoundListener("admin", Listening("admin", "127.0.0.1", 9090))
    others = [
        BoundListener(f"net{n}", Listening("http", "127.0.0.1", 8080 + n)) for n in range(networks)
    ]
    return Readiness("ready", (admin, *others))


def test_start_lines_name_file_listeners_pipelines_backends_and_admin():
    assert list(start_lines(configuration(), 2, ready())) == [
        f"harmony {harmony.__version__} serves config.toml and 1 more",
        "http      net0: http://127.0.0.1:8080",
        "pipeline  bridge0: web0 -> pacs0",
        "backend   pacs0 (dicom)",
        "admin     http://127.0.0.1:9090",
    ]


def test_a_backend_that_no_pipeline_names_is_not_said_to_be_served():
    assert not any("pacs1" in line for line in start_lines(configuration(), 1, ready()))


def test_an_ipv6_address_is_a_url():
    at = Readiness("ready", (BoundListener("net", Listening("http", "::1", 80)),))
    assert "http      net: http://[::1]:80" in start_lines(configuration(), 1, at)


def test_a_dicom_listener_is_no_url():
    at = Readiness("ready", (BoundListener("scp", Listening("dicom", "0.0.0.0", 11112)),))
    assert "dicom     scp: 0.0.0.0:11112" in start_lines(configuration(), 1, at)


@pytest.mark.parametrize(
    ("networks", "pipelines", "backends"),
    [(0, 0, 0), (3, 3, 2), (4, 4, 4), (50, 50, 50), (1, 50, 1), (20, 1, 1)],
)
def test_there_are_never_more_than_ten(networks, pipelines, backends):
    lines = start_lines(configuration(pipelines, backends), 1, ready(networks))
    assert len(lines) <= MAX_START_LINES
    assert lines[-1].startswith("admin")


def test_what_is_left_out_is_counted():
    lines = start_lines(configuration(50, 1), 1, ready(1))
    assert "          and 49 more pipelines" in lines


def settings(environment, **changes):
    plain = {"log_level": None, "log_format": None, "verbose": 0, "quiet": False}
    arguments = argparse.Namespace(**(plain | changes))
    return log_settings(Log(level="error", format="logfmt"), arguments, environment)


@pytest.mark.parametrize(
    ("environment", "arguments", "expected"),
    [
        ({}, {}, ("error", "logfmt")),
        ({"HARMONY_LOG_LEVEL": "debug"}, {}, ("debug", "logfmt")),
        ({"HARMONY_LOG_FORMAT": "json"}, {}, ("error", "json")),
        ({"HARMONY_LOG_LEVEL": "debug"}, {"log_level": "info"}, ("info", "logfmt")),
        ({"HARMONY_LOG_FORMAT": "json"}, {"log_format": "console"}, ("error", "console")),
        ({"HARMONY_LOG_LEVEL": "info"}, {"verbose": 2}, ("debug", "logfmt")),
        ({"HARMONY_LOG_LEVEL": "info"}, {"quiet": True}, ("warning", "logfmt")),
        ({}, {"quiet": True, "log_level": "info"}, ("info", "logfmt")),
        ({"HARMONY_LOG_LEVEL": ""}, {}, ("error", "logfmt")),
    ],
)
def test_an_argument_beats_the_environment_which_beats_the_file(environment, arguments, expected):
    assert settings(environment, **arguments) == expected


@pytest.mark.parametrize("variable", ["HARMONY_LOG_LEVEL", "HARMONY_LOG_FORMAT"])
def test_a_variable_that_means_nothing_is_refused_and_says_what_would(variable):
    with pytest.raises(BadVariable, match=rf"{variable} is `loud\\n`, not one of .*o"):
        settings({variable: "loud\n"})
