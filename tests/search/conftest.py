"""Sittings of runs that nothing is trained in."""

import pytest
from sitting import Sitting


@pytest.fixture
def sit(tmp_path):
    stores = []

    def sit(config, folder=tmp_path):
        sitting = Sitting(config, folder)
        stores.append(sitting.store)
        return sitting

    yield sit
    for store in stores:
        store.close()
