"""Which state follows which."""

from __future__ import annotations

import pytest

from vision_toolkit.core.errors import Conflict
from vision_toolkit.workspace.lifecycle import DATASET, JOB, MODEL, PACKAGE, TRIAL, DatasetState, ModelState

TABLES = {"dataset": DATASET, "model": MODEL, "package": PACKAGE, "trial": TRIAL, "job": JOB}


@pytest.mark.parametrize("name", TABLES)
def test_every_state_of_an_enumeration_stands_in_its_table(name):
    table = TABLES[name]
    kind = type(next(iter(table.states())))
    assert table.states() == set(kind)


@pytest.mark.parametrize(("table", "passing"), [
    (DATASET, {"creating", "updating", "rolling back"}),
    (MODEL, {"training", "starting", "stopping"}),
])  # fmt: skip
def test_a_passing_state_ends_well_or_badly(table, passing):
    assert {state.value for state in table.passing()} == passing
    for state in table.passing() - {DatasetState.ROLLING_BACK}:
        assert table.after(state, "finish") is not state and table.after(state, "fail") not in table.passing() - {
            DatasetState.ROLLING_BACK
        }


def test_what_is_not_in_the_table_is_a_conflict_that_names_what_is():
    for table, state, event, message in (
        (MODEL, ModelState.HOSTED, "delete", "A model in the state 'hosted' cannot be deleted; it can be stopped."),
        (MODEL, ModelState.TRAINED, "stop",
         "A model in the state 'trained' cannot be stopped; it can be deleted or started."),
        (MODEL, ModelState.DELETED, "start",
         "A model in the state 'deleted' cannot be started; nothing can be done with it any more."),
        (DATASET, DatasetState.CREATING, "delete",
         "A dataset in the state 'creating' cannot be deleted; wait for its end, and look at its status."),
    ):  # fmt: skip
        with pytest.raises(Conflict) as caught:
            table.after(state, event)
        assert str(caught.value) == message


def test_every_event_that_is_refused_is_refused_in_words():
    for table in TABLES.values():
        for event in {event for _, event in table.steps}:
            for state in table.states():
                if (state, event) not in table.steps:
                    with pytest.raises(Conflict, match=f"in the state '.*' cannot be {event[:3]}"):
                        table.after(state, event)


def test_nothing_that_is_passing_can_be_deleted():
    for table in (DATASET, MODEL):
        assert not {state for state, event in table.steps if event == "delete"} & table.passing()
