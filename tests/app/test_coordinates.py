"""From a click to a pixel."""

import pytest

from cyclopean.app.coordinates import MOST_SHOWN, pixel, shown_size
from cyclopean.errors import InputError


@pytest.mark.parametrize("size", [(3000, 4000), (4000, 3000), (400, 600), (16, 9000), (1, 1)])
def test_the_shown_picture_keeps_the_shape_and_is_never_larger(size):
    h, w = shown_size(size)
    assert h * w <= max(MOST_SHOWN * 1.01, 1)
    assert h <= size[0]
    assert w <= size[1]
    if min(h, w) > 50:
        assert h / w == pytest.approx(size[0] / size[1], rel=0.01)


def test_small_photos_are_shown_as_they_are():
    assert shown_size((400, 600)) == (400, 600)


def test_the_same_click_is_the_same_place_in_preview_and_photo():
    """The centre of every preview pixel lands in the part of the photo that the preview pixel was made of."""
    full, small = (3024, 4032), shown_size((3024, 4032))
    for row, col in ((0, 0), (17, 903), (small[0] - 1, small[1] - 1), (333, 421)):
        at = ((col + 0.5) / small[1], (row + 0.5) / small[0])
        assert pixel(at, small) == (col, row)
        x, y = pixel(at, full)
        assert col <= x * small[1] / full[1] < col + 1
        assert row <= y * small[0] / full[0] < row + 1


def test_borders_and_beyond_belong_to_the_last_pixels():
    assert pixel((0.0, 0.0), (10, 20)) == (0, 0)
    assert pixel((1.0, 1.0), (10, 20)) == (19, 9)
    assert pixel((-3.0, 7.0), (10, 20)) == (0, 9)
    assert pixel((1.7e308, -1.7e308), (10, 20)) == (19, 0)


def test_no_point_is_refused():
    with pytest.raises(InputError, match="not a point"):
        pixel((float("nan"), 0.5), (10, 20))
