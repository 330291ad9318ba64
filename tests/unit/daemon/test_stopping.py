"""What signals mean, and the last resort."""

import signal
import subprocess
import sys

import pytest

from harmony.daemon.stopping import HARD_STOP_CODE, Action, Stopper

TERM, INT, HUP, USR2 = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2


@pytest.mark.parametrize(
    ("signals", "actions"),
    [
        ([TERM], [Action.DRAIN]),
        ([INT], [Action.DRAIN]),
        ([INT, INT], [Action.DRAIN, Action.STOP_NOW]),
        ([TERM, TERM], [Action.DRAIN, Action.STOP_NOW]),
        ([TERM, INT], [Action.DRAIN, Action.STOP_NOW]),
        ([HUP, TERM], [Action.REFUSE_RELOAD, Action.DRAIN]),
        ([USR2, INT, USR2], [Action.DUMP, Action.DRAIN, Action.DUMP]),
    ],
)
def test_what_signals_mean_one_after_another(signals, actions):
    stopper = Stopper()
    assert [stopper.decide(number) for number in signals] == actions


@pytest.mark.parametrize(
    ("signals", "cut_short", "code"),
    [
        ([TERM], False, 0),
        ([INT, INT], True, 130),
        ([INT, TERM], True, 143),
        ([TERM, INT, TERM], True, 130),  # the first that cut it
        ([INT, INT], False, 0),  # all was done already
    ],
)
def test_exit_codes(signals, cut_short, code):
    stopper = Stopper()
    for number in signals:
        stopper.decide(number)
    assert stopper.exit_code(cut_short=cut_short) == code


@pytest.mark.parametrize("stuck", ["time.sleep(60)", "[None for _ in iter(int, 1)]"])
def test_the_hard_stop_ends_a_process_that_is_stuck(stuck):
    program = f"""
import time
from harmony.daemon.stopping import arm_hard_stop
arm_hard_stop(0.05)
{stuck}
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=30, capture_output=True)
    assert done.returncode == HARD_STOP_CODE


def test_the_hard_stop_does_not_hold_up_an_end_in_order():
    program = """
from harmony.daemon.stopping import arm_hard_stop
arm_hard_stop(600)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == 0
