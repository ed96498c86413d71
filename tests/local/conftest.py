"""Fixtures of the platform's tests."""

from collections.abc import Callable, Iterator

import pytest
from running import Up, platforms


@pytest.fixture
def make_up() -> Iterator[Callable[..., Up]]:
    """Makes platforms with settings of their own."""
    with platforms() as make:
        yield make


@pytest.fixture
def up(make_up: Callable[..., Up]) -> Up:
    """A platform that the test may kill."""
    one = make_up()
    one.start()
    return one


@pytest.fixture(scope="module")
def shared_up() -> Iterator[Up]:
    """One platform for the module's tests; each uses avatars of its own."""
    with platforms() as make:
        one = make()
        one.start()
        yield one
