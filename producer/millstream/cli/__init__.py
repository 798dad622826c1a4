"""The `millstream` command."""

from millstream.cli.main import main as main
