"""A hook of mkdocs: links that leave docs/ become names of files, or links into the repository.

The handbook names tests and scripts by links that work in a clone. A site has no clone
beside it: with $PROJECT_URL they lead there, otherwise the name alone stays.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\[(?P<text>[^]]+)\]\((?P<target>\.\./[^)#\s]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown, page, **_):
    """Return the page's text without links that leave docs/; fail on one that leads nowhere."""
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
