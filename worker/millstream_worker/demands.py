"""What a worker was given, against what it asked for or has room for."""

from collections.abc import Iterable

from millstream_shared.claims import Claim, Claimed, Demand


def divide(claims: Iterable[Claim], room: Demand) -> tuple[list[Claim], list[str]]:
    """Those of these runs that there is room for, and the ids of the others; what is only to be ended needs none."""
    free = {"sync": room.sync_slots, "async": room.async_slots, "flow": room.flow_slots}
    kept: list[Claim] = []
    beyond: list[str] = []
    for claim in claims:
        kind = "flow" if claim.is_flow else "async" if claim.is_async else "sync"
        if claim.refused_by or (free[kind] > 0 and (room.most is None or len(kept) < room.most)):
            free[kind] -= 1
            kept.append(claim)
        else:
            beyond.append(claim.run_id)
    return kept, beyond


def was_all(claimed: Claimed, demand: Demand) -> bool:
    """Whether the queues had no more than this."""
    taken_async = sum(claim.is_async for claim in claimed.runs)
    taken_flows = sum(claim.is_flow for claim in claimed.runs) if demand.flow_slots > 0 else 0
    taken_sync = len(claimed.runs) - taken_async - taken_flows
    if demand.most is not None and len(claimed.runs) >= demand.most:
        return False
    if demand.flow_slots > 0 and taken_flows >= demand.flow_slots:
        return False
    return taken_sync < demand.sync_slots and taken_async < demand.async_slots
