"""What a worker does with the news of its processes: how runs ended, failed, were lost, or came back unbegun."""

from millstream_shared import errors
from millstream_shared.claims import Claim, Claimed, Demand, Postponed
from millstream_shared.logs import Batch, Logs
from millstream_shared.store import Store
from millstream_worker import endings, reaping, worker_logging
from millstream_worker.children import Limit
from millstream_worker.crews import News
from millstream_worker.flow_processes import FlowNews
from millstream_worker.outcomes import Outcome


class Settlements:
    """Tells the store, for the worker `owner`."""

    def __init__(self, store: Store, owner: str) -> None:
        self.owner = owner
        self._store = store
        self._logs = Logs(store)

    def settle(self, news: News, demand: Demand | None, *, search: bool) -> Claimed:
        """Settle what task runs brought, and claim others: see `Store.settle_and_claim`."""
        if news.lines:
            self._keep_lines(news.lines)
        if news.returned:
            self._store.release(self.owner, news.returned, unbegun=True)
        for cause in news.deaths:
            worker_logging.error("a child process died", cause=cause, runs=len(news.lost))
        for cause in news.replaced:
            worker_logging.info("a child process is replaced", cause=cause)
        if news.lost:
            buried = self._store.release(self.owner, news.lost, crashed=True)
            reaping.settle_orphans(self._store, self.owner, buried, news.deaths[-1])
        for claim, limit in news.overdue:
            self._add_overdue(claim, limit, news)
        refused: list[str] = []
        claimed = Claimed([])
        if news.ended:
            refused, claimed = self._store.settle_and_claim(self.owner, news.ended, demand, search=search)
        if news.failed:
            refused += self._store.postpone(self.owner, news.failed)
        if refused:
            worker_logging.warning("refused: other workers took these runs over", runs=refused)
        return claimed

    def _add_overdue(self, claim: Claim, limit: Limit, news: News) -> None:
        """A run whose process had to be killed: it ends, or is tried again."""
        if limit.is_stop:
            worker_logging.warning("a process was killed, as a cancelled run did not stop", run=claim.run_id)
            news.ended.append(endings.cancelled(claim.run_id, claim.attempt, claim.payload, self.owner))
            return
        worker_logging.error("a process was killed for a time limit", run=claim.run_id, seconds=limit.seconds)
        outcome = endings.timed_out(claim, limit, self.owner)
        if isinstance(outcome, Postponed):
            news.failed.append(outcome)
        else:
            news.ended.append(outcome)

    def settle_flows(self, news: FlowNews) -> list[tuple[Claim, Outcome]]:
        """Settle flow runs whose processes have gone without doing that; those that ended so, and their records."""
        ended: list[tuple[Claim, Outcome]] = []
        for claim, cause in zip(news.left, news.causes, strict=True):
            # Of a run that was settled this changes nothing, also if it was queued and given to us once more since.
            orphans = self._store.release(self.owner, [claim.run_id], crashed=True, attempt=claim.attempt)
            if orphans or claim.run_id in news.died:
                worker_logging.error("a flow process died", cause=cause, run=claim.run_id)
            settled = reaping.settle_orphans(self._store, self.owner, orphans, cause)
            ended += [(claim, outcome) for outcome in settled]
        return ended

    def end_unbegun(self, refused: list[Claim], cancelled: list[Claim]) -> None:
        """End runs that a limit never lets begin, and those that were told to stop before."""
        outcomes = [endings.aborted(claim, self.owner) for claim in refused]
        outcomes += [endings.cancelled(claim.run_id, claim.attempt, claim.payload, self.owner) for claim in cancelled]
        if outcomes:
            self._store.settle(self.owner, outcomes)

    def _keep_lines(self, lines: list[Batch]) -> None:
        """Before anybody hears that the runs have ended: who then asks for their lines finds all of them."""
        try:
            self._logs.write(lines)
        except errors.BackendFull as full:
            # The first thing that a full server does without.
            worker_logging.warning("lines of runs are not kept", runs=len(lines), reason=str(full))
        except errors.ServiceError:
            raise
        except Exception as refused:
            worker_logging.error("lines of runs are not kept", runs=len(lines), reason=str(refused))
