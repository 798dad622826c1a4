"""A private server for who has not configured a Redis: started on first use, shared, gone with its last user."""

from millstream.embedded.servers import ensure_server as ensure_server
from millstream.embedded.servers import leave_server as leave_server
