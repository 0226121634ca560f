"""Every error, warning and diagnosis that the code can give, read off its source; nothing is run.

`python docs/site/messages.py` prints them. A message is known by its pattern: the words of the
source with an ellipsis where a path, a number or a name is put in.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("unsup_asr", "segmentation", "gan", "lm")
GAP = "…"
_PLACEHOLDER = re.compile(r"%(?:\([a-z_]+\))?[-+ #0-9.]*[a-z]|%%")
_LOGGERS = ("log", "logger", "warnings")
_DEEPEST = 3  # functions that hand on what functions return


@dataclass(frozen=True)
class Message:
    """One thing that may be said. `kind` is error, warning, or the kind of a diagnosis."""

    kind: str
    pattern: str
    path: str
    line: int

    def matches(self, said: str) -> bool:
        """Whether words that somebody saw are this message."""
        wanted = ".*".join(re.escape(part) for part in self.pattern.split(GAP))
        return re.fullmatch(f".*{wanted}.*", said, re.DOTALL) is not None


@cache
def errors() -> tuple[Message, ...]:
    """All messages of exceptions, those that are passed on from another place aside."""
    return tuple(
        Message("error", pattern, path, node.lineno)
        for path, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        for pattern in _patterns(_argument(node.exc, tree), tree)
    )


@cache
def warnings() -> tuple[Message, ...]:
    """All that is said of a run that goes on."""
    return tuple(
        Message("warning", pattern, path, node.lineno)
        for path, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _is_warning(node.func)
        for pattern in _patterns(node.args[0], tree)
    )


@cache
def findings() -> tuple[Message, ...]:
    """All kinds of diagnosis, with the words of each."""
    return tuple(
        Message(str(node.args[0].value), pattern, path, node.lineno)
        for path, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Finding"
        and len(node.args) == 2
        and isinstance(node.args[0], ast.Constant)
        for pattern in _patterns(node.args[1], tree)
    )


@cache
def _modules() -> tuple[tuple[str, ast.Module], ...]:
    return tuple(
        (str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8")))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    )


def _is_warning(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in ("warning", "warn")
        and isinstance(function.value, ast.Name)
        and function.value.id in _LOGGERS
    )


def _argument(call: ast.Call, tree: ast.Module) -> ast.expr | None:
    """What an exception says; of a function that returns one, the call itself."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if _functions(name, tree) and not name.endswith("Error"):
        return call
    return call.args[0] if call.args else None


def _patterns(said: ast.expr | None, tree: ast.Module, depth: int = 0) -> Iterator[str]:
    """The pattern of an expression; of a call or a variable, of all that it may be."""
    if isinstance(said, ast.Call) and depth < _DEEPEST:
        name = ast.unparse(said.func).rpartition(".")[2]
        for function, home in _functions(name, tree):
            for node in ast.walk(function):
                if isinstance(node, ast.Return):
                    yield from _patterns(_without_exception(node.value), home, depth + 1)
    elif isinstance(said, ast.Name):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == said.id:
                pattern = _words(node.value)
                if len(pattern.replace(GAP, "").split()) > 2:
                    yield pattern
    elif said is not None and re.search(r"\w\w", (pattern := _words(said)).replace(GAP, "")):
        yield pattern


def _without_exception(value: ast.expr | None) -> ast.expr | None:
    """What an exception says that a function returns; another value as it is."""
    if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("Error"):
        return value.args[0]
    return value


def _functions(name: str, tree: ast.Module) -> Sequence[tuple[ast.FunctionDef, ast.Module]]:
    """Functions of that name: of this module, else of any."""
    of_name = _functions_by_name().get(name, ())
    own = [(function, home) for function, home in of_name if home is tree]
    return own or of_name


@cache
def _functions_by_name() -> Mapping[str, Sequence[tuple[ast.FunctionDef, ast.Module]]]:
    found: dict[str, list[tuple[ast.FunctionDef, ast.Module]]] = {}
    for _, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append((node, tree))
    return found


def _words(said: ast.expr) -> str:
    """The words of an expression, with `GAP` for what is filled in."""
    return re.sub(rf"(?:{GAP}\s*)+{GAP}", GAP, " ".join(_joined(said).split()))


def _joined(said: ast.expr) -> str:
    match said:
        case ast.Constant(value=str(text)):
            return _PLACEHOLDER.sub(lambda found: "%" if found[0] == "%%" else GAP, text)
        case ast.JoinedStr(values=parts):
            return "".join(str(p.value) if isinstance(p, ast.Constant) else GAP for p in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined(left) + _joined(right)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _joined(left)
        case _:
            return GAP


if __name__ == "__main__":
    for message in (*findings(), *warnings(), *errors()):
        print(f"{message.kind}\t{message.path}:{message.line}\t{message.pattern}")  # noqa: T201
