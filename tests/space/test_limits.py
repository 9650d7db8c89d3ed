"""Hard limits, checked as they are declared."""

import pytest

from hrvit_nas.space import Limit


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"metric": "macs"}, "needs max, min or both"),
        ({"metric": "macs", "min": 2, "max": 1}, "min must be at most max"),
        ({"metric": "flops", "max": 1}, "macs"),
        ({"metric": "macs", "max": 0}, "greater than 0"),
        ({"metric": "macs", "max": 1, "image_size": (16, 64)}, "at least 32, 32"),
        ({"metric": "macs", "max": 1, "size": 3}, "size"),
    ],
)
def test_limits_check_themselves(fields, reason):
    with pytest.raises(ValueError, match=reason):
        Limit(**fields)
