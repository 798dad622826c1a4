"""Programs that look after runs and deployments: `from millstream.client.orchestration import get_client`."""
