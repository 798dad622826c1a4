"""What a queued run looks like to RQ, so that `rq info`, rq-dashboard and a stock `rq worker` can deal with it.

RQ keeps a job as a hash `rq:job:<id>` and its id in the list `rq:queue:<name>` (rq 2.12, `rq/job.py`). We write the
fields it reads: `data`, `origin`, `description`, `timeout` (-1: none) and `result_ttl` (0: a stock worker leaves
nothing behind, since the record is ours).
"""

import pickle
from datetime import UTC, datetime

JOB_DATA = pickle.dumps(("millstream_worker.jobs.execute", None, (), {}), 5)
"""The call that a stock `rq worker` makes, for any run: the function finds out by itself which job it is in."""


def timestamp(moment: datetime | None = None) -> str:
    """A point in time, by default now, as RQ writes it."""
    # Not strftime, which looks each time whether the machine's time zone has changed.
    return f"{(moment or datetime.now(UTC)).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
