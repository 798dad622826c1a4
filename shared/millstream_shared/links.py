"""The link to one Redis server: how calls reach it, and ride out its outages."""

from collections.abc import Callable
from typing import Any

from redis.exceptions import ResponseError

from millstream_shared import connections, errors, memory, scripts
from millstream_shared.calls import Calls
from millstream_shared.settings import Settings


class Link:
    """One Redis, by its URL, or through a `client` that exists. Safe to use from several threads.

    The first call waits `settings.first_contact_seconds` for an answer; later ones ride out an outage of
    `outage_seconds` (default: `settings.outage_seconds`). Past that they raise RedisUnavailable.
    `start_server` is called in an outage, where the server is a private one.
    """

    def __init__(
        self,
        url: str,
        settings: Settings,
        client: Any = None,
        outage_seconds: float | None = None,
        start_server: Callable[[], object] | None = None,
    ) -> None:
        self.url = url
        self.settings = settings
        self.outages = 0
        """How many calls had to be made again: after one, an answer may have been lost on its way."""
        self.during_outage: Callable[[], object] | None = None
        """Called each time before a call is made again."""
        self.client: Any = client if client is not None else connections.connect(url)
        self._calls = Calls(self.client)
        self._flagged = not memory.is_in_memory(self.client)
        self._patience = settings.first_contact_seconds
        self._start_server = start_server
        self._outage_seconds = settings.outage_seconds if outage_seconds is None else outage_seconds

    def ping(self) -> None:
        """Raises RedisUnavailable, within seconds, if nobody answers."""
        self._persist(lambda _: self.client.ping())

    def server_version(self) -> str:
        """What the server is and which version, as `Valkey 9.0.1`."""
        said: dict[str, Any] = self._persist(lambda _: self.client.info("server"))
        kind = "Valkey" if said.get("server_name") == "valkey" else "Redis"
        return f"{kind} {said.get('valkey_version') or said.get('redis_version', '?')}"

    @property
    def is_private(self) -> bool:
        """Whether the server is a private one, used by processes of this machine alone."""
        return self._start_server is not None

    def revive(self) -> None:
        """Have the server come back if it is one that this process can start; called during an outage."""
        if self._start_server:
            self._start_server()

    def give_up_soon(self) -> None:
        """From now on, an outage is ridden out no longer than the first contact: the process is about to end."""
        self._outage_seconds = self._patience = self.settings.first_contact_seconds

    def close(self) -> None:
        """Let go of all connections."""
        self._calls.close()
        self.client.close()

    def connection(self) -> Any:
        """A connection of its own, whose socket a selector can wait for."""
        return self.client.connection_pool.get_connection()

    def command(self, *words: Any) -> Any:
        """One command that can safely be made twice, for a module that keeps things of its own kind."""
        answer = self._persist(lambda _: self._calls.call(*words))
        convert = self.client.response_callbacks.get(words[0])
        return convert(answer) if convert else answer

    def ask(self, *words: Any) -> Any:
        """The answer to such a command; None where the server refuses to say, as hosted ones do."""
        try:
            return self.command(*words)
        except ResponseError:
            return None

    def script(self, name: str, *args: Any) -> Any:
        """The same with a script."""
        return self._run(name, list(args))

    def _run(self, name: str, args: list[Any]) -> Any:
        return self._persist(lambda _: self._send(name, args))

    def _send(self, name: str, args: list[Any]) -> Any:
        """The answer of a script that is run once."""
        return scripts.run(self._calls.call, name, args, flagged=self._flagged)

    def _persist(self, call: Callable[[bool], Any]) -> Any:
        def counted(again: bool) -> Any:
            if again:
                self.outages += 1
                self.revive()
                if self.during_outage is not None:
                    self.during_outage()
            return call(again)

        try:
            answer = connections.persist(counted, self.url, self._patience)
        except ResponseError as refused:
            if str(refused).startswith("LEASELOST"):
                raise errors.LeaseLost(str(refused).partition(" ")[2]) from None
            raise
        self._patience = self._outage_seconds
        return answer
