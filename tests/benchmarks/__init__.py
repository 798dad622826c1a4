"""Measures millstream against raw RQ on one server in one run: `python -m tests.benchmarks`."""
