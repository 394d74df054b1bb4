"""The site of the documentation: ``make docs`` writes it to var/site. Nothing is downloaded.

Its source is the repository, because README, SECURITY and the others are pages of it, too.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

project = "askfleet"
author = "askfleet"
release = re.findall(r'__version__ = "(.+)"', (ROOT / "app/__init__.py").read_text("utf-8"))[0]

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/decisions/*.md"]
# Links in them lead back to this tree (decision 55), and Sphinx follows links.
exclude_patterns = [".venv", "var"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a page may begin with a second-level heading

html_theme = "furo"
html_title = "askfleet"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
