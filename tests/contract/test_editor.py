"""What an editor shows of the package, as pyright's language server tells it."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.docstrings import DECORATORS, entries, options
from kit.language_server import LanguageServer, program

import memo

pytestmark = pytest.mark.outside  # a server of its own: once for all versions

REQUIRED = {"bounded": "max=3, ", "bounded_many": "max=3, ", "sliding_window": '"1h", ', "limit": '"1/1m", '}


def written(name: str, option: str) -> str:
    """A call that has got as far as *option*: what is required, without a name, comes first."""
    return f"memo.{name}({'' if option in ('max', 'window', 'rate') else REQUIRED.get(name, '')}{option}="


def value(name: str, option: str) -> str:
    """A value that the option takes."""
    default = inspect.signature(getattr(memo, name)).parameters[option].default
    return {"max": "3", "window": "1", "rate": "(1, 2)"}.get(option) or (
        "Exception" if option == "fallback_on" else "None" if option == "fallback" else repr(default)
    )


TEXT = "\n".join(
    [
        "import memo",
        *(f"memo.{name}()  # empty" for name in DECORATORS),
        *(f"{written(name, option)}{value(name, option)})" for name in DECORATORS for option in options(name)),
        '@memo.bounded(max=3, ttl="1h")',
        "def fetch(name: str, lang: str = 'en') -> bytes:",
        '    """Fetch it."""',
        "    return b''",
        "fetch('alice')",
        "fetch.cache.invalidate('alice')",
        "memo.registry.cleanup()",
    ]
)


def opened(folder: Path) -> LanguageServer:
    """A language server that has the document open."""
    found = program()
    if found is None:
        pytest.skip("no language server here; the extra test has one")
    return LanguageServer(found, folder, TEXT)


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """A language server for all tests that it answers whatever it was asked before."""
    with opened(tmp_path_factory.mktemp("editor")) as server:
        yield server


@pytest.mark.parametrize("name", DECORATORS)
def test_options_are_offered(editor: LanguageServer, name: str) -> None:
    """Right after the parenthesis every option is offered by its name."""
    offered = editor.completions(f"memo.{name}(|)  # empty")
    assert set(options(name)) <= {label.removesuffix("=") for label in offered if label.endswith("=")}


@pytest.mark.parametrize("name", DECORATORS)
def test_an_option_is_told_of_while_it_is_written(editor: LanguageServer, name: str) -> None:
    """Of the option that is being written its line is shown, with its unit and what None means."""
    for option, told in entries(getattr(memo, name)).items():
        if option in options(name):
            assert editor.parameter(f"{written(name, option)}|{value(name, option)})") == f"{option}: {told}"


def test_an_option_under_the_pointer_is_told_of(tmp_path: Path) -> None:
    """Where options come from a TypedDict, the pointer over one shows its line."""
    with opened(tmp_path) as editor:  # of its own: pyright forgets such lines of calls that it was asked to complete
        for name in ("bounded", "bounded_many"):
            told = entries(getattr(memo, name))
            for option in options(name):
                if option in ("max", "max_bytes"):
                    continue
                shown = editor.hover(f"memo.{name}(max=3, |{option}={value(name, option)})")
                assert shown.startswith(f"(variable) {option}: ")
                if name == "bounded" or option in ("absent_ttl", "gather", "max_batch"):
                    assert shown.endswith(f"\n\n{told[option]}")


@pytest.mark.parametrize("name", DECORATORS)
def test_a_decorator_under_the_pointer_is_told_of(editor: LanguageServer, name: str) -> None:
    """Its docstring is shown below a signature that has no alias spelled out."""
    shown = editor.hover(f"memo.|{name}()  # empty")
    signature, _, text = shown.partition("\n\n" + (inspect.getdoc(getattr(memo, name)) or "").partition("\n")[0])
    assert f"def {name}(" in signature
    assert "timedelta" not in signature
    assert "Args:" in text


def test_a_decorated_function_under_the_pointer_is_what_it_was(editor: LanguageServer) -> None:
    """Its parameters, its result and its docstring are shown, and handles take its parameters."""
    assert editor.hover("|fetch('alice')") == (
        "(function) fetch: Function[(name: str, lang: str = 'en'), bytes]\n\nFetch it."
    )
    assert "def invalidate(\n    name: str,\n    lang: str = 'en'\n) -> bool" in editor.hover("cache.|invalidate")


def test_methods_of_handles_and_of_the_registry_are_offered(editor: LanguageServer) -> None:
    """After the dot, and the pointer over one shows its docstring."""
    assert {"call", "fresh", "invalidate", "lease", "put", "refresh", "stats", "within"} <= set(
        editor.completions("fetch.cache.|invalidate")
    )
    offered = editor.completions("memo.registry.|cleanup")
    assert {"adopt", "cleanup", "invalidate", "janitor", "report", "select", "serve", "stats"} <= set(offered)
    assert editor.hover("memo.registry.|cleanup").startswith(
        "(method) def cleanup() -> CleanupReport\n\nDrop what is expired or stuck, everywhere."
    )
    assert editor.hover("memo.|registry.cleanup").startswith(
        "(variable) registry: Registry\n\nEvery decorated function"
    )
