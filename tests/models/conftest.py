"""The fixtures of the tests of models."""

from hub_cases import family, hub, name  # noqa: F401
