"""Exceptions as words."""

import pytest

from harmony.errors import UpstreamError
from harmony.telemetry import failures, log


def caught(raiser):
    with pytest.raises(BaseException) as info:  # noqa: PT011 - whatever it is
        raiser()
    return info.value


def test_types_go_from_what_happened_to_its_cause():
    def fail():
        try:
            raise OSError("secret")
        except OSError as exc:
            raise UpstreamError("pacs is away", code="unreachable") from exc

    assert failures.describe(caught(fail)) == failures.Failure(
        error="UpstreamError < OSError", where="", code="unreachable", reason="pacs is away"
    )


def test_a_hidden_context_stays_hidden():
    def fail():
        try:
            raise OSError("secret")
        except OSError:
            raise ValueError("secret") from None

    assert failures.describe(caught(fail)).error == "ValueError"


def test_of_a_group_the_first_leaf_is_told():
    inner = ExceptionGroup("secret", [KeyError("secret")])
    group = ExceptionGroup("secret", [inner, ValueError("secret")])
    assert failures.describe(group).error == "KeyError"


def test_our_own_lines_are_named_and_nobody_else_s():
    where = failures.describe(caught(lambda: log.timestamp(1e30))).where
    assert where.startswith("telemetry/log.py:")
    assert "test_failures" not in where


def test_a_chain_without_end_is_cut():
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert failures.describe(first).error.count("<") == 3
