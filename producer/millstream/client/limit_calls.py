"""What the client does with concurrency limits."""

from typing import Any

from millstream import limits
from millstream.client.calls import Calls
from millstream_shared.limits import Limit


class LimitCalls(Calls):
    """The part of the client that is about concurrency limits: those on tags, and those that code asks for by name.

    Methods for a limit that has to exist raise ObjectNotFound if it does not.
    """

    # -- on the task runs that carry a tag

    def create_concurrency_limit(self, tag: str, concurrency_limit: int) -> Any:
        """Let at most so many task runs with the tag be executed at once; if there is such a limit, change it."""
        return self._do(limits.create, limits.of_tag(tag), concurrency_limit, overwrite=True)

    def read_concurrency_limit_by_tag(self, tag: str) -> Any:
        """The limit on a tag."""
        return self._do(limits.read, limits.of_tag(tag))

    def read_concurrency_limits(self) -> Any:
        """A list of the limits on tags, by name."""
        return self._do(_read_all, True)

    def reset_concurrency_limit_by_tag(self, tag: str) -> Any:
        """Take all slots back, though runs that had some go on."""
        return self._do(limits.reset, limits.of_tag(tag))

    def delete_concurrency_limit_by_tag(self, tag: str) -> Any:
        """Limit runs with the tag no more."""
        return self._do(limits.delete, limits.of_tag(tag))

    # -- by name

    def create_global_concurrency_limit(
        self, name: str, limit: int, *, active: bool = True, slot_decay_per_second: float = 0.0
    ) -> Any:
        """Make a limit. Raises ObjectAlreadyExists if there is one of that name."""
        return self._do(limits.create, name, limit, active=active, slot_decay_per_second=slot_decay_per_second)

    def read_global_concurrency_limit_by_name(self, name: str) -> Any:
        """A limit as it stands."""
        return self._do(limits.read, name)

    def read_global_concurrency_limits(self) -> Any:
        """A list of all limits but those on tags, by name."""
        return self._do(_read_all, False)

    def update_global_concurrency_limit(
        self,
        name: str,
        *,
        limit: int | None = None,
        active: bool | None = None,
        slot_decay_per_second: float | None = None,
    ) -> Any:
        """Change what is given, and give the limit."""
        return self._do(limits.update, name, limit=limit, active=active, slot_decay_per_second=slot_decay_per_second)

    def delete_global_concurrency_limit_by_name(self, name: str) -> Any:
        """Have no such limit any more; who waited for it is let in."""
        return self._do(limits.delete, name)


def _read_all(on_tags: bool) -> list[Limit]:
    prefix = limits.of_tag("")
    return [limit for limit in limits.read_all() if limit.name.startswith(prefix) == on_tags]
