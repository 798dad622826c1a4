"""The names of all Redis keys, and which of them may live without an expiry.

`shared/README.md` holds the data model: type, lifetime, writer and reader of each. The Lua scripts build the same
names; a contract test keeps the two in step.
"""

from millstream_shared.ids import tree_of

LEASES = "ms:leases"
COUNTERS = "ms:counters"
QUEUES = "rq:queues"
LIMITS = "ms:limits"
SLOT_LEASES = "ms:slot-leases"
LINES_TO_CALL = "ms:lines-to-call"
DEPLOYMENTS = "ms:deployments"
DEPLOYMENT_IDS = "ms:deployment-ids"
SCHEDULES = "ms:schedules"
SCHEDULER = "ms:scheduler"
PAUSED = "ms:paused"
WORKERS = "rq:workers"
SUSPENDED = "rq:suspended"
CANCELLED = "ms:cancelled"


def job(run_id: str) -> str:
    """The RQ job that carries a run until it is settled."""
    return f"rq:job:{run_id}"


def queue(name: str) -> str:
    """RQ's list of job ids."""
    return f"rq:queue:{name}"


def flow_queue(name: str) -> str:
    """The name of the queue for the flow runs of a queue: those which wait for a process are in nobody's way there."""
    return f"{name}:flows"


def without_flows(queue_name: str) -> str:
    """The name of the queue to which a name belongs that `flow_queue` may have given."""
    return queue_name.removesuffix(flow_queue(""))


def scheduled(name: str) -> str:
    """RQ's registry of the queue's jobs that are to be executed later."""
    return f"rq:scheduled:{name}"


def failed(name: str) -> str:
    """RQ's registry of the queue's jobs that failed."""
    return f"rq:failed:{name}"


def worker(name: str) -> str:
    """What RQ keeps of a worker."""
    return f"rq:worker:{name}"


def workers_of_queue(name: str) -> str:
    """RQ's set of the workers that serve a queue."""
    return f"rq:workers:{name}"


def runs(run_id: str) -> str:
    """The records of all runs in the tree of `run_id`."""
    return f"ms:runs:{tree_of(run_id)}"


def worker_name(name: str) -> str:
    """Which worker has this name."""
    return f"ms:worker-name:{name}"


def held(owner: str) -> str:
    """The runs that a process holds under its lease."""
    return f"ms:held:{owner}"


def inbox(owner: str) -> str:
    """Ids of finished runs that a process waits for."""
    return f"ms:inbox:{owner}"


def orders(owner: str) -> str:
    """What a process is told to do at once."""
    return f"ms:orders:{owner}"


def bell(queue_name: str) -> str:
    """Wakes one idle worker of a queue."""
    return f"ms:bell:{queue_name}"


def dependents(run_id: str) -> str:
    """The runs that wait for `run_id`."""
    return f"ms:dependents:{run_id}"


def definition(digest: str) -> str:
    """A task that travels by value."""
    return f"ms:definition:{digest}"


def parameters(flow_run_id: str) -> str:
    """The parameters of a flow run, for the workers that execute its tasks."""
    return f"ms:parameters:{flow_run_id}"


def subflows(run_id: str) -> str:
    """The flow runs that were begun within the flow run in the tree of `run_id`."""
    return f"ms:subflows:{tree_of(run_id)}"


def inputs(flow_run_id: str) -> str:
    """What a flow run was given when it was resumed, by the key of each pause."""
    return f"ms:inputs:{flow_run_id}"


FLOW_RUNS = "ms:flow-runs"
FLOWS = "ms:flows"


def flow_runs_of(facet: str, value: str) -> str:
    """The ids of flow runs by when they were made: those of a `flow`, of a `deployment`, or in a `state`."""
    return f"{FLOW_RUNS}:{facet}:{value}"


def once(key: str) -> str:
    """The run that was made for a key of which there may be one run only; `key` is a hash of that."""
    return f"ms:once:{key}"


def logs(run_id: str) -> str:
    """The lines that a run has logged."""
    return f"ms:logs:{run_id}"


def logged(run_id: str) -> str:
    """Which runs in the tree of `run_id` have logged lines, and how many."""
    return f"ms:logged:{tree_of(run_id)}"


def cache(name: str) -> str:
    """A result that is kept under a key of its own; `name` is a hash of that."""
    return f"ms:cache:{name}"


def lock(name: str) -> str:
    """Who may execute what is kept under a key; `name` is a hash of that."""
    return f"ms:lock:{name}"


def limit(name: str) -> str:
    """A concurrency limit: how many slots, whether it is active, how fast they come back."""
    return f"ms:limit:{name}"


def slots(limit_name: str) -> str:
    """Who holds slots of a limit."""
    return f"ms:slots:{limit_name}"


def waiters(limit_name: str) -> str:
    """Who waits for slots of a limit, in order."""
    return f"ms:waiters:{limit_name}"


def holds(owner: str) -> str:
    """What the code of a process holds of limits, or waits for."""
    return f"ms:holds:{owner}"


def bucket(limit_name: str) -> str:
    """When the last slot of a limit will have come back that gives them back with time."""
    return f"ms:bucket:{limit_name}"


_LIMIT_WORK = ("ms:slots:*", "ms:waiters:*", "ms:holds:*", SLOT_LEASES, LINES_TO_CALL)

LIVE = ("rq:job:*", "ms:runs:*", "rq:queue:*", "rq:scheduled:*", "ms:held:*", "ms:dependents:*", *_LIMIT_WORK)
"""Work not yet finished: without an expiry, because it must not be lost; gone once the work is done."""

# Few and small: there are as many as people have made, and they stay until people delete them.
_MADE = (LIMITS, "ms:limit:*", DEPLOYMENTS, DEPLOYMENT_IDS, SCHEDULES, PAUSED)

PERMANENT = (*LIVE, *_MADE, LEASES, COUNTERS, QUEUES, WORKERS, "rq:workers:*", "rq:failed:*")
"""All keys that may be without an expiry."""
