"""How the pages become one site: `make manual`.

Sphinx runs in the top folder, so that links out of `docs` lead somewhere.
"""

import tomllib
from pathlib import Path

project = "chargerd"
author = "chargerd"
release = version = tomllib.loads(Path("../pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser"]
include_patterns = ["docs/**", "CHANGELOG.md", "CONTRIBUTING.md"]
root_doc = "docs/index"
myst_heading_anchors = 3  # named as GitHub names them, where the same pages are read
# Messages and decisions are reached by the pages that list them.
suppress_warnings = ["toc.not_included", "toc.empty_glob", "toc.glob"]

html_theme = "furo"
html_title = f"chargerd {release}"
