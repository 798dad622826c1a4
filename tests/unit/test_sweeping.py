"""Workers remove large results whose time has passed."""

from pathlib import Path

from millstream_shared.settings import Settings
from millstream_worker.sweeping import Sweeper
from tests.harness import eventually


def test_a_worker_sweeps_the_folder_of_large_results(tmp_path: Path) -> None:
    """Next to a private server, or where the settings say."""
    for settings in (Settings(home=tmp_path), Settings(redis_url="redis://there", result_storage=str(tmp_path))):
        old = (tmp_path / "results" if settings.redis_url is None else tmp_path) / "2001-01-01"
        old.mkdir(parents=True)
        (old / "run").write_bytes(b"")
        sweeper = Sweeper(settings)
        sweeper.sweep_if_due()
        eventually(lambda old=old: not old.exists())
