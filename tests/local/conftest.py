"""Fixtures of the platform's tests."""

from running import make_up, up

__all__ = ["make_up", "up"]
