"""Write the pages of the manual that are made from others, and from the code: `python -m tests.manual --write`."""

import sys

from tests.manual import logs_page, words_page

if sys.argv[1:] != ["--write"]:
    sys.exit(__doc__)
for made in (words_page, logs_page):
    made.PAGE.write_text(made.page(), encoding="utf-8")
