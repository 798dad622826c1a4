"""For tests of your own flows: all of millstream in one process, without a server, in milliseconds.

    from millstream import testing

    def test_words_are_counted():
        with testing.workflows() as runs:
            assert count(["a b", "c"]) == 3
            runs.assert_called_with(count_words, text="a b")

Runs go the whole way, over a queue to a worker and back, so what a task meets in a test is what it meets in production:
copies of its arguments, futures as dependencies, limits, retries, caching. Only nobody waits before a retry, and there
is one process. `pip install 'millstream[testing]'` brings what it needs.
"""

from millstream.testing.environments import workflows
from millstream.testing.observations import Run, Runs

__all__ = ["Run", "Runs", "workflows"]
