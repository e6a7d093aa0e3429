"""The package as its imports and strings show it: read as text, nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "cronflow"


class House:
    """The source files below a folder, parsed."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        paths = sorted((root / PACKAGE).rglob("*.py"))
        self.trees = {_name(path.relative_to(root)): ast.parse(path.read_text()) for path in paths}

    def imports(self, module: str) -> Iterator[str]:
        """The modules that one imports, anywhere in it: in functions, and for types only, as well."""
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from (name if name in self.trees else node.module for name in names)

    def inner(self, module: str) -> set[str]:
        """Those of them that are files of the package."""
        return {name for name in self.imports(module) if name in self.trees}

    def strings(self, module: str) -> Iterator[str]:
        """The texts in a module, the fixed parts of f-strings included; docstrings apart."""
        docs = {id(node.value) for node in ast.walk(self.trees[module]) if isinstance(node, ast.Expr)}
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                yield node.value


def room(module: str) -> str:
    """The room of a module: the folder below the package, or the file where it lies there itself."""
    return module.split(".")[1] if "." in module else module


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
