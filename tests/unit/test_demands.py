"""What a worker keeps of the runs that it was given, where its room has changed since it asked."""

import pytest

from millstream_shared.claims import Claim, Demand
from millstream_worker import demands


def given(kinds: str) -> list[Claim]:
    """A run for each letter: sync, async, a flow run, or one that a limit refuses."""
    return [
        Claim(
            f"{at}{kind}",
            1,
            kind == "a",
            0,
            0,
            b"",
            refused_by="tag:none" if kind == "r" else "",
            is_flow=kind == "f",
        )
        for at, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("kinds", "room", "kept"),
    [
        ("ssa", Demand(("q",), sync_slots=2, async_slots=1), "ssa"),
        ("sss", Demand(("q",), sync_slots=2, async_slots=1), "ss"),
        ("saf", Demand(("q",), sync_slots=9, flow_slots=1), "sf"),
        ("sas", Demand(("q",), sync_slots=9, async_slots=9, most=1), "s"),
        ("sar", Demand(()), "r"),
        ("", Demand(()), ""),
    ],
)
def test_what_there_is_no_room_for_goes_back(kinds: str, room: Demand, kept: str) -> None:
    """The first ones of each kind are kept; what a limit refuses is only to be ended, and needs no room."""
    claims = given(kinds)
    taken, returned = demands.divide(claims, room)
    assert "".join(claim.run_id[1:] for claim in taken) == kept
    assert sorted([claim.run_id for claim in taken] + returned) == sorted(claim.run_id for claim in claims)
