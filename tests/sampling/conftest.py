"""The fixtures of the tests of sampling."""

from hub_cases import hub, name  # noqa: F401
