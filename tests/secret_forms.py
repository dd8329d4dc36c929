"""Forms in which a program may print a secret, and a check whether a text contains one."""

import html
import json
import shlex
from urllib.parse import quote, quote_plus

# Blanks, quotes, characters of URLs, DSNs and format strings, and non-ASCII letters.
SECRETS = (
    "S3cr3t-t0ken/with+signs=1",
    "p@ss;w'o\"r%d{1}\\n",
    "geheim-ünïcode-7",
    "correct horse battery",
)

FORMS = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded, small": lambda text: quote(text, safe="").replace("%2F", "%2f"),
    "percent-encoded path": quote,
    "form-encoded": quote_plus,
    "HTML": html.escape,
    "a shell's word": shlex.quote,
    "cut off": lambda text: text[:14] + "…",
    "cut off, in quotes": lambda text: f'"{text[:14]}..."',
    "a number of times": lambda text: f"{text} {text}",
}


def leaks(text: str, secret: str) -> bool:
    """Return whether the text holds the secret in any form, or its first 13 characters."""
    whole = [form(secret) for name, form in FORMS.items() if "cut off" not in name]
    return any(form.strip("'\"b") in text for form in [*whole, secret[:13]])
