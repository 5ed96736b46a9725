"""Write the pages of the manual that are made from others: `python -m tests.manual --write`."""

import sys

from tests.manual.words_page import PAGE, page

if sys.argv[1:] != ["--write"]:
    sys.exit(__doc__)
PAGE.write_text(page(), encoding="utf-8")
