"""Fixtures of several test files of the command line."""

from helpers_exporter import blue, exporter, exporter_host, large, patient  # noqa: F401  # fixtures
