"""The settings of this process, as programs import them."""

from millstream_shared.settings import Settings, get_settings

__all__ = ["Settings", "get_settings"]
