"""What goes wrong in the store, as its callers see it."""


class StoreError(Exception):
    """The journal cannot be opened or asked. The message names the file and says what to do."""


class RefusedError(StoreError):
    """Starting without this journal would do harm: another daemon works with it, or a newer one has written it."""


class DamagedError(Exception):
    """A journal file is not what was once written to it. Handled within the store: it is salvaged."""
