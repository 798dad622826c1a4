"""Deployments that are made by runs."""

import json

from tests.seeds.programs import Programs


def test_a_task_makes_a_deployment(programs: Programs):
    """Its id is a value like any other; under that id it is there for others when the program has ended."""
    ended = programs.run("deployment_in_a_task")
    id = ended.said("returned")
    shown = json.loads(programs.running.cli("deployment", "inspect", id, "--json").succeed())
    assert shown["full_name"] == "target-flow/programmatic-deployment"
    assert (shown["version"], shown["parameters"]) == ("1", {"x": 42})
