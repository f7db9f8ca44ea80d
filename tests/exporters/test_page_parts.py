"""The document of the live page, as it is put together and before any browser sees it."""

import re
import secrets
from importlib.resources import files

import pytest

from memo.exporters._page import page, policy

FOLDER = files("memo.exporters._page")
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir() if path.name.endswith(".js")}
SINKS = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|setHTML|Contextual"


def test_the_document_has_one_script_and_one_style_with_its_nonce() -> None:
    """Nothing but these two bears the nonce; there is no other script, no other style, no mark of the template left."""
    nonce = secrets.token_urlsafe()
    text = page(nonce).decode()
    assert text.count(nonce) == 2
    assert re.findall(r"<(?:script|style)\b[^>]*>", text) == [
        f'<style nonce="{nonce}">',
        f'<script nonce="{nonce}" type="module">',
    ]
    assert len(re.findall(r"</(?:script|style)", text)) == 2, "a file ends the element that it is put into"
    assert not re.search(r"@(nonce|style|script)@", text)
    assert not re.search(r"\s(style|on[a-z]+)=", text.partition("<script")[0]), "the policy forbids these attributes"
    assert len(text) < 100_000


def test_the_document_fetches_nothing_from_elsewhere() -> None:
    """No address of another host, no imported font, style or picture."""
    text = page(secrets.token_urlsafe()).decode()
    assert set(re.findall(r"https?://[^'\"\s]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|<iframe|<link (?!rel=\"icon\" href=\"data:)", text)


def test_every_script_is_part_of_the_document() -> None:
    """A file that is there is used."""
    text = page(secrets.token_urlsafe()).decode()
    assert [name for name, script in SCRIPTS.items() if script not in text] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_write_text_alone(name: str) -> None:
    """No script has a word by which text becomes markup or code, or by which anything is kept beyond the page."""
    assert not re.findall(SINKS, SCRIPTS[name])
    assert not re.findall(r"localStorage|sessionStorage|\bcookie\b|indexedDB", SCRIPTS[name])


def test_the_policy_allows_two_elements_and_its_own_server() -> None:
    """Everything is forbidden first; what is allowed is the nonce, the page's server and the icon within the page."""
    nonce = secrets.token_urlsafe()
    rules = dict(rule.strip().split(" ", 1) for rule in policy(nonce).split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}'",
        "style-src": f"'nonce-{nonce}'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


@pytest.mark.parametrize("nonce", ["", "short", 'x" onload="alert(1)', "a" * 20 + "\n", "é" * 20, "'; script-src *;xx"])
def test_a_nonce_is_what_it_says(nonce: str) -> None:
    """What could end the attribute or the rule that it is put into, or be guessed, is refused."""
    for make in (page, policy):
        with pytest.raises(ValueError, match="token_urlsafe"):
            make(nonce)
