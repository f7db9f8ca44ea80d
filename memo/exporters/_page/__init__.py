"""The live page: one document, put together of the files beside this one.

Plain HTML, CSS and JavaScript as a browser takes them; nothing is built, nothing comes from elsewhere.  The document
holds no figure: it asks its server for them (``stats.json``, ``report.json``), relative to its own path, so that it
works below any prefix.  What comes from there reaches the document as text alone; the policy sees to that, too.
"""

import functools
import re
from importlib.resources import files

__all__ = ("page", "policy")

_SCRIPTS = ("figures.js", "details.js", "rows.js", "panels.js", "page.js")
"""One module for the browser, in this order: each may use what stands in those before it."""
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,}")


def page(nonce: str) -> bytes:
    """The document, its one script and its one style marked with *nonce*; the header is ``policy(nonce)``.

    Args:
        nonce: Random text that is used for one answer, as ``secrets.token_urlsafe()`` makes it.

    Raises:
        ValueError: It is shorter than 16 characters, or has others than letters, digits, ``-`` and ``_``.
    """
    return _checked(nonce).encode().join(_parts())


def policy(nonce: str) -> str:
    """The value of ``Content-Security-Policy`` under which ``page(nonce)`` works, and little else does.

    No source but the two that bear the nonce, no connection but to where the page is from, no frame around it, no form
    that leaves it, and no text that becomes markup or script (Trusted Types).

    Raises:
        ValueError: As ``page()``.
    """
    _checked(nonce)
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _checked(nonce: str) -> str:
    if not _NONCE.fullmatch(nonce):
        raise ValueError(f"page: nonce={nonce!r} does not do; give what secrets.token_urlsafe() returns.")
    return nonce


@functools.cache
def _parts() -> tuple[bytes, ...]:
    """The document, cut where the nonce goes."""
    folder = files(__name__)
    document, style, *scripts = (
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("index.html", "page.css", *_SCRIPTS)
    )
    whole = document.replace("@style@", style).replace("@script@", "\n".join(scripts))
    return tuple(part.encode() for part in whole.split("@nonce@"))
