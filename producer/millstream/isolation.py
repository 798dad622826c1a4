"""Whether runs that would keep a result under the same key wait for each other."""

from enum import StrEnum


class IsolationLevel(StrEnum):
    """READ_COMMITTED: they may run at once, and the last one's result stays. SERIALIZABLE: one after the other."""

    READ_COMMITTED = "READ_COMMITTED"
    SERIALIZABLE = "SERIALIZABLE"
