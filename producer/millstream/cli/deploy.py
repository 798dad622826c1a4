"""`millstream deploy`: put the deployments of a file into the store."""

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=Path("millstream.yaml"))
@click.option("-n", "--name", "names", multiple=True, help="Only the deployment of this name; may be given again.")
@click.option("--all", "takes_all", is_flag=True, help="All deployments of the file.")
@click.option("--check", is_flag=True, help="Only say whether all is well with the file.")
def deploy(file: Path, names: tuple[str, ...], takes_all: bool, check: bool) -> None:
    """Put the deployments of FILE, by default millstream.yaml, into the store, for workers to execute their runs.

    The file is checked as a whole first, and the flows are loaded: if anything in it is wrong, nothing is deployed.
    """
    # Only now: these load pydantic, which is too slow for who asks for help.
    from millstream import deployment_files, deployments

    if names and takes_all:
        raise click.UsageError("Choose --name or --all.")
    found = deployment_files.read(file, names)
    if len(found) > 1 and not (names or takes_all or check):
        listed = ", ".join(each.full_name for each in found)
        raise click.UsageError(f"{file} has several deployments ({listed}): say --all, or which by --name.")
    if check:
        click.echo(f"{file}: {', '.join(each.full_name for each in found)} can be deployed.")
        return
    for deployment, id in zip(found, deployments.deploy(*found), strict=True):
        click.echo(f"Deployed {deployment.full_name} ({id}).")
