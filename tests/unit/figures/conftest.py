"""What all tests of pictures share."""

import io
import sys
import warnings
from collections.abc import Callable

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def saved() -> Callable[[Figure], None]:
    """Draw a figure for good; a warning, such as of a layout that failed, is an error."""

    def save(figure: Figure) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.savefig(io.BytesIO(), dpi=50)

    return save


@pytest.fixture(autouse=True)
def no_open_figures() -> None:
    """Nothing is left in the list of open figures: there is none."""
    yield
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
