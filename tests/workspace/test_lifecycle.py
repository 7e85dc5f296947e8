"""Which state follows which."""

from __future__ import annotations

import pytest

from vision_toolkit.core.errors import Conflict
from vision_toolkit.workspace.lifecycle import DATASET, JOB, MODEL, PACKAGE, DatasetState, ModelState

TABLES = {"dataset": DATASET, "model": MODEL, "package": PACKAGE, "job": JOB}


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
    with pytest.raises(Conflict, match="A model that is hosted cannot delete; it can: stop"):
        MODEL.after(ModelState.HOSTED, "delete")
    with pytest.raises(Conflict, match="nothing any more"):
        MODEL.after(ModelState.DELETED, "start")


def test_nothing_that_is_passing_can_be_deleted():
    for table in (DATASET, MODEL):
        assert not {state for state, event in table.steps if event == "delete"} & table.passing()
