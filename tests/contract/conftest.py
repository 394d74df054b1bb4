import pytest
from local_fleet import LocalFleet, start_fleet
from small_generations import build_small


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> LocalFleet:
    """A gateway, three shards and an encoder on one small real generation; nobody changes it."""
    root = tmp_path_factory.mktemp("fleet")
    return start_fleet(root, build_small(root))
