"""Log lines: their form, and what never gets into one."""

import io
import json
import logging
import threading
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.errors import UpstreamError
from harmony.telemetry import log

MARK = "Zaphod^Beeblebrox"


@pytest.fixture
def stream():
    stream = io.StringIO()
    with log.configured("debug", "json", stream):
        yield stream


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def only_line(stream):
    (line,) = lines(stream)
    return line


def test_a_line_has_time_level_event_and_its_keys_in_order(stream):
    log.get_logger("harmony.test").info("exchange.finished", ms=1.5, request_id="r1")
    line = only_line(stream)
    assert list(line) == ["time", "level", "event", "request_id", "ms"]
    assert (line["level"], line["event"], line["ms"]) == ("info", "exchange.finished", 1.5)


def test_time_is_utc_with_milliseconds():
    assert log.timestamp(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"


def test_a_key_without_a_value_is_left_out(stream):
    log.get_logger("harmony.test").info("peer.up", backend="pacs", reason=None)
    assert set(only_line(stream)) == {"time", "level", "event", "backend"}


def test_a_level_below_the_wanted_one_is_silent():
    stream = io.StringIO()
    with log.configured("warning", "json", stream):
        log.get_logger("harmony.test").info("peer.up")
        log.get_logger("harmony.test").warning("peer.down")
    assert only_line(stream)["event"] == "peer.down"


class TestNothingOfAPatient:
    scalars = st.just(MARK) | st.text(max_size=5).map(lambda text: text + MARK)
    values = st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3)
            | st.dictionaries(st.text(max_size=5), inner, min_size=1, max_size=3)
            | inner.map(lambda value: (value, object()))
        ),
        max_leaves=6,
    )
    keys = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).filter(
        lambda key: key not in log.KEYS and key not in ("exc_info", "self")
    )

    @given(
        st.dictionaries(keys, values, min_size=1, max_size=4),
        st.sampled_from(["json", "logfmt", "console"]),
    )
    def test_under_a_key_that_is_not_on_the_list(self, extra, form):
        stream = io.StringIO()
        with log.configured("debug", form, stream):
            log.get_logger("harmony.test").info("peer.up", backend="pacs", **extra)
        assert "Beeblebrox" not in stream.getvalue()
        assert "pacs" in stream.getvalue()
        assert str(len(extra)) in stream.getvalue()

    @given(values.filter(lambda value: not isinstance(value, str)))
    def test_in_a_nested_value_under_a_key_that_is(self, value):
        stream = io.StringIO()
        with log.configured("debug", "json", stream):
            log.get_logger("harmony.test").info("peer.up", reason=value)
        assert "Beeblebrox" not in stream.getvalue()
        assert only_line(stream)["dropped"] == 1

    def test_in_a_sentence_used_as_event(self, stream):
        log.get_logger("harmony.test").info(f"found {MARK}")
        assert only_line(stream)["event"] == "log.unnamed"
        assert MARK not in stream.getvalue()

    @pytest.mark.parametrize("name", ["pynetdicom.acse", "pydicom", "some.library", "harmony.raw"])
    def test_in_a_library_s_sentence(self, stream, name):
        logging.getLogger(name).warning("patient %s", MARK, extra={"reason": MARK})
        line = only_line(stream)
        assert (line["event"], line["logger"]) == ("library.message", name)
        assert MARK not in stream.getvalue()

    def test_in_the_message_of_an_exception(self, stream):
        try:
            raise ValueError(MARK) from KeyError(MARK)
        except ValueError:
            log.get_logger("harmony.test").exception("exchange.failed")
        assert only_line(stream)["error"] == "ValueError < KeyError"
        assert MARK not in stream.getvalue()

    def test_in_an_exception_that_a_library_logs(self, stream):
        try:
            raise ValueError(MARK)
        except ValueError:
            logging.getLogger("pynetdicom").exception("what %r", MARK)
        assert only_line(stream)["error"] == "ValueError"
        assert MARK not in stream.getvalue()

    def test_in_a_warning(self, stream):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            log._show_warning(UserWarning(MARK), UserWarning, "/elsewhere.py", 3)
        assert only_line(stream)["event"] == "library.warning"
        assert MARK not in stream.getvalue()

    def test_in_a_thread_that_dies(self, stream):
        def die():
            raise ValueError(MARK)

        thread = threading.Thread(target=die, name="reactor")
        thread.start()
        thread.join()
        line = only_line(stream)
        assert (line["event"], line["name"]) == ("thread.failed", "reactor")
        assert MARK not in stream.getvalue()

    def test_when_a_record_cannot_be_formatted(self, capsys):
        stream = io.StringIO()
        with log.configured("debug", "json", stream):
            logging.getLogger("some.library").warning("%d", MARK)
        assert stream.getvalue() == ""
        assert MARK not in "".join(capsys.readouterr())


class TestLibraries:
    def test_pynetdicom_is_heard_from_warning_up(self, stream):
        logging.getLogger("pynetdicom.assoc").info("associated")
        logging.getLogger("pynetdicom.assoc").error("broken")
        assert only_line(stream)["level"] == "error"

    @pytest.mark.parametrize("name", ["harmony.web", "hypercorn.error"])
    def test_known_sentences_keep_their_first_line(self, stream, name):
        logging.getLogger(name).error("Error in ASGI Framework\nmore")
        assert only_line(stream)["text"] == "Error in ASGI Framework"


def test_our_own_errors_tell_code_and_reason(stream):
    try:
        raise UpstreamError("backend pacs refused", code="association-rejected")
    except UpstreamError:
        log.get_logger("harmony.test").exception("exchange.failed")
    line = only_line(stream)
    assert (line["code"], line["reason"]) == ("association-rejected", "backend pacs refused")


def test_one_event_is_one_line(stream):
    log.get_logger("harmony.test").info("peer.down", reason="a\nb\r\n\x1b[31mc")
    assert only_line(stream)["reason"] == "a b   [31mc"


def test_a_long_text_is_cut(stream):
    log.get_logger("harmony.test").info("peer.down", reason="x" * 1000)
    assert len(only_line(stream)["reason"]) == log.MAX_TEXT


def test_figures_that_json_does_not_know_are_text(stream):
    log.get_logger("harmony.test").info("peer.up", ms=float("nan"))
    assert only_line(stream)["ms"] == "nan"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("json", '"event":"peer.up","backend":"pacs"'),
        ("logfmt", "event=peer.up backend=pacs"),
        ("console", "backend=pacs"),
        ("auto", '"backend":"pacs"'),  # this stream is no terminal
    ],
)
def test_forms(form, expected):
    stream = io.StringIO()
    with log.configured("info", form, stream):
        log.get_logger("harmony.test").info("peer.up", backend="pacs")
    assert expected in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_on_a_terminal_the_console_form_has_colors_unless_unwanted(monkeypatch, no_color, colored):
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = Terminal()
    with log.configured("info", "auto", stream):
        log.get_logger("harmony.test").info("peer.up")
    assert ("\x1b[" in stream.getvalue()) is colored
    assert "peer.up" in stream.getvalue()


def test_undoing_leaves_the_process_as_it_was():
    root = logging.getLogger()
    noisy = logging.getLogger("pynetdicom")

    def state():
        return (
            root.handlers[:],
            root.level,
            noisy.level,
            warnings.showwarning,
            threading.excepthook,
        )

    before = state()
    undo = log.configure("debug", "json", io.StringIO())
    assert state() != before
    undo()
    assert state() == before
