"""The table of PS3.8 9.2, held beside the one that another implementation copied from it."""

from __future__ import annotations

import pytest
from pynetdicom.fsm import ACTIONS, TRANSITION_TABLE

from harmony.upper_layer.states import TABLE, Action, Event, State


def test_every_cell_is_that_of_table_9_10() -> None:
    ours = {
        (event.name.title(), state.name.title()): action.name.replace("_", "-")
        for (event, state), action in TABLE.items()
    }

    assert ours == TRANSITION_TABLE


@pytest.mark.parametrize("action", Action, ids=lambda action: action.name)
def test_the_words_of_an_action_name_the_state_that_it_leads_to(action: Action) -> None:
    _, _, following = ACTIONS[action.name.replace("_", "-")]
    states = following if isinstance(following, tuple) else (following,)
    ours = set(action.value.replace(",", "").replace(";", "").split())
    if action is Action.AE_6:
        states = ("Sta3",)  # a request that the provider refuses is AE-8's matter here

    assert ours & {state.name.title() for state in State} == set(states)


@pytest.mark.parametrize("state", [s for s in State if s not in (State.STA1, State.STA4)])
def test_whatever_comes_from_the_peer_has_an_action(state: State) -> None:
    received = (3, 4, 6, 10, 12, 13, 16, 17, 19)

    assert all((Event(number), state) in TABLE for number in received)


def test_the_artim_timer_can_only_run_out_where_it_runs() -> None:
    assert {state for event, state in TABLE if event is Event.EVT18} == {State.STA2, State.STA13}
