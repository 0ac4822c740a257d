"""What most tests of learning start from: a network for glyphs, and a board's empty store."""

import pytest
from glyph_world import make_glyph_backbone

from edge.store import open_store


@pytest.fixture(scope="module")
def backbone():
    return make_glyph_backbone()


@pytest.fixture
def store(tmp_path):
    with open_store(str(tmp_path / "learned.sqlite")) as opened:
        yield opened
