"""Asking a server whether it is ready, without loading a client library."""

import socket
from pathlib import Path


def ping(path: Path, timeout: float = 1.0) -> bool:
    """Whether the server at the unix socket `path` answers, within `timeout` seconds, that it takes commands.

    False while it is not there, and while it still loads its data.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
