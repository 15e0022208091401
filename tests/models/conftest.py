"""The fixtures of the tests of models."""

from hub_cases import hub, name  # noqa: F401
