"""What asserts go by when they judge many things at once."""

from collections.abc import Iterable


def every(verdicts: Iterable[object]) -> bool:
    """Say whether all of them are true, as `all` does. Of nothing at all nothing is shown: that is red as well."""
    judged = [bool(one) for one in verdicts]
    assert judged, "there was nothing to judge"
    return all(judged)
