"""The fixtures of the tests of sampling."""

from hub_cases import family, hub, name  # noqa: F401
