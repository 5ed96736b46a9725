"""Who has given a command on site: the user's name, as this machine knows it."""

import pwd
from functools import lru_cache


@lru_cache(maxsize=64)
def user_of(uid: int) -> str | None:
    """Return the name of a user, `None` if the machine knows none by this number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
