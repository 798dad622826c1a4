"""What the client does with deployments."""

from typing import Any

from millstream import deployments, triggering
from millstream.client.calls import Calls
from millstream.run_history import Id


class DeploymentCalls(Calls):
    """The part of the client that is about deployments.

    Each is known by its id or its full name, `flow/deployment`. Methods raise ValueError for what is neither, and
    ObjectNotFound if there is no such deployment.
    """

    def read_deployment(self, deployment_id: Id) -> Any:
        """The DeploymentRecord."""
        return self._do(deployments.read, triggering.checked_name(deployment_id))

    def read_deployment_by_name(self, name: str) -> Any:
        """The same."""
        return self.read_deployment(name)

    def read_deployments(self) -> Any:
        """A list of all DeploymentRecords, by full name."""
        return self._do(deployments.read_all)

    def pause_deployment(self, deployment_id: Id) -> Any:
        """Have no schedule of it fire; it can still be triggered. Gives its DeploymentRecord."""
        return self._do(deployments.pause, triggering.checked_name(deployment_id))

    def resume_deployment(self, deployment_id: Id) -> Any:
        """Have its schedules fire again. Gives its DeploymentRecord."""
        return self._do(deployments.resume, triggering.checked_name(deployment_id))

    def delete_deployment(self, deployment_id: Id) -> Any:
        """Have no such deployment any more; its runs stay. Gives what it was."""
        return self._do(deployments.delete, triggering.checked_name(deployment_id))
