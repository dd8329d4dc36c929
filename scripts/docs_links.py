"""A mkdocs hook that rewrites links out of docs/ as file names, or as links to the repository.

The handbook links to tests and scripts by paths that work in a clone, but not on a site. With
$PROJECT_URL they become links to the repository there, otherwise plain file names.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\[(?P<text>[^]]+)\]\((?P<target>\.\./[^)#\s]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown, page, **_):
    """Return the page's text without links out of docs/; fail on a link to a missing file."""
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def replaced(link):
        path = posixpath.normpath(posixpath.join(folder, link["target"]))
        if path.startswith("docs/"):
            return link[0]
        if not (ROOT / path).exists():
            raise PluginError(f"{page.file.src_uri}: {link['target']} is not there")
        home = os.environ.get("PROJECT_URL", "").rstrip("/")
        return f"[{link['text']}]({home}/blob/main/{path})" if home else f"`{link['text']}`"

    return _LINK.sub(replaced, markdown)
