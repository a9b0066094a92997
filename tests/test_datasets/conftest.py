import pytest

from tests.miniscenes import ARGUMENTS
from visionllm_mm.datasets.miniscenes import write_dataset


@pytest.fixture(scope='session')
def miniscenes(tmp_path_factory):
    """The folder of `tests/miniscenes.py`, to be read only."""
    folder = tmp_path_factory.mktemp('data') / 'miniscenes'
    write_dataset(folder, ARGUMENTS)
    return folder
