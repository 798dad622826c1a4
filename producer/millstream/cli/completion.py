"""`millstream completion`: have a shell complete commands, options, and names of queues, workers and limits."""

import click
from click.shell_completion import get_completion_class

_PROGRAM = "millstream"
_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print what has SHELL complete the words of this command.

    \b
    bash: eval "$(millstream completion bash)", in ~/.bashrc
    zsh:  eval "$(millstream completion zsh)", in ~/.zshrc
    fish: millstream completion fish > ~/.config/fish/completions/millstream.fish
    """
    from millstream.cli.main import main  # which loads this one

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, _PROGRAM, "_MILLSTREAM_COMPLETE").source())
