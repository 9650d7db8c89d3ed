"""Fixtures of the tests of training."""

import pytest
from small_trainings import scenes


@pytest.fixture(scope="session")
def data(cache_home):
    return scenes()
