"""Asking a server whether it is ready, and about itself, without loading a client library."""

import socket
from pathlib import Path


def ping(path: Path, timeout: float = 1.0) -> bool:
    """Whether the server at the unix socket `path` answers, within `timeout` seconds, that it takes commands.

    False while it is not there, and while it still loads its data.
    """
    try:
        with _connect(path, timeout) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def read_info(path: Path, timeout: float = 1.0) -> dict[str, str]:
    """What the server at `path` tells of itself on INFO, by field; empty if it does not answer."""
    try:
        with _connect(path, timeout) as connection, connection.makefile("rb") as answer:
            connection.sendall(b"INFO\r\n")
            size = answer.readline()
            text = answer.read(int(size[1:])).decode() if size.startswith(b"$") else ""
    except OSError:
        return {}
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _connect(path: Path, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection
