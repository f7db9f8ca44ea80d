"""What an editor asks a language server, and what that answers."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kit.places import ROOT

__all__ = ("LanguageServer", "program")

PLAIN = ["plaintext"]
CAPABILITIES: dict[str, Any] = {
    "textDocument": {
        "completion": {"completionItem": {"documentationFormat": PLAIN}},
        "hover": {"contentFormat": PLAIN},
        "signatureHelp": {
            "signatureInformation": {
                "activeParameterSupport": True,
                "documentationFormat": PLAIN,
                "parameterInformation": {"labelOffsetSupport": True},
            }
        },
    },
    "workspace": {"configuration": True},
}


def program() -> Path | None:
    """The language server of pyright beside this interpreter, if it is installed."""
    found = Path(sys.executable).with_name("pyright-langserver")
    return found if found.is_file() else None


class LanguageServer:
    """A language server with one document open in it: the Language Server Protocol 3.17, over its standard streams.

    Args:
        program: The server.
        folder: An empty folder, for the document.
        text: The document, in Python.
    """

    def __init__(self, program: Path, folder: Path, text: str) -> None:
        self._text = text
        self._numbers = itertools.count(1)
        self._uri = (folder / "document.py").as_uri()
        (folder / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}), encoding="utf-8")
        self._process = subprocess.Popen(
            [program, "--stdio"],
            cwd=folder,
            env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._ask(
            "initialize",
            processId=os.getpid(),
            rootUri=folder.as_uri(),
            capabilities=CAPABILITIES,
            workspaceFolders=[{"uri": folder.as_uri(), "name": folder.name}],
        )
        self._tell("initialized")
        document = {"uri": self._uri, "languageId": "python", "version": 1, "text": text}
        self._tell("textDocument/didOpen", textDocument=document)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._ask("shutdown")
            self._tell("exit")
        else:
            self._process.kill()
        self._process.communicate()

    def hover(self, spot: str) -> str:
        """What is shown where the pointer rests at the mark in *spot*, a part of the document with a "|" in it."""
        found = self._ask("textDocument/hover", **self._at(spot))
        return "" if found is None else str(found["contents"]["value"])

    def completions(self, spot: str) -> list[str]:
        """What is offered at the mark."""
        found = self._ask("textDocument/completion", **self._at(spot))
        return [item["label"] for item in found["items"]]

    def parameter(self, spot: str) -> str:
        """What is told of the parameter that is being written at the mark."""
        found = self._ask("textDocument/signatureHelp", **self._at(spot))
        signature = found["signatures"][found.get("activeSignature") or 0]
        active = signature.get("activeParameter", found.get("activeParameter"))
        return str(signature["parameters"][active]["documentation"]["value"])

    def _at(self, spot: str) -> dict[str, Any]:
        before, _, after = spot.partition("|")
        head, there, _ = self._text.partition(before + after)
        assert there, f"{before + after!r} is not in the document"
        lines = (head + before).split("\n")
        position = {"line": len(lines) - 1, "character": len(lines[-1])}
        return {"textDocument": {"uri": self._uri}, "position": position}

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _tell(self, method: str, **params: Any) -> None:
        self._send(method=method, params=params)

    def _ask(self, method: str, **params: Any) -> Any:
        """The answer to a request; what the server asks meanwhile is answered, what it tells is not listened to."""
        number = next(self._numbers)
        self._send(id=number, method=method, params=params)
        while True:
            message = self._receive()
            if "method" in message:
                if "id" in message:
                    self._send(id=message["id"], result=self._settings(message))
            elif message["id"] == number:
                assert "error" not in message, message["error"]
                return message["result"]

    def _settings(self, message: dict[str, Any]) -> list[dict[str, str]] | None:
        if message["method"] != "workspace/configuration":
            return None
        return [{"pythonPath": sys.executable} for _ in message["params"]["items"]]

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the language server has ended"
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return message
