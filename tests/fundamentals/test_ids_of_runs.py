"""Whatever takes the id of a run says what one is."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from millstream.client.orchestration import get_client
from millstream.flow_runs import resume_flow_run, wait_for_flow_run
from millstream.futures import future_of


def read(run_id: Any) -> object:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id)


@pytest.mark.parametrize("call", [resume_flow_run, wait_for_flow_run, future_of, read])
@pytest.mark.parametrize("given", ["zz", "", 7, None])
def test_what_is_no_id_is_refused(call: Callable[[Any], object], given: object) -> None:
    """With what was given for it."""
    with pytest.raises(ValueError, match=rf"32 hex digits; got {given!r}\.$"):
        call(given)


def test_an_id_is_a_uuid_or_a_text() -> None:
    """With dashes or without."""
    run_id = uuid.uuid4()
    assert {future_of(given).id for given in (run_id, str(run_id), run_id.hex)} == {run_id}
