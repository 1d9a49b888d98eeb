"""The house stands: no floor imports from one above, and nothing is unpickled."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "groundup"
FLOORS = {
    "errors": 0, "processes": 0, "console": 0, "recipe": 1, "store": 1, "report": 1, "data": 2, "model": 3, "tokens": 3,
    "train": 4, "evaluate": 4, "generate": 4, "export": 4, "science": 5, "commands": 6, "cli": 7,
}  # fmt: skip
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def floor(name: str) -> str:
    return name.split(".")[1] if name.startswith("groundup.") else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_floor_imports_only_from_itself_and_those_below(path: Path) -> None:
    mine = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in filter(None, map(floor, names)):
            assert FLOORS[name] <= FLOORS[mine], f"{mine} imports {name}"


def test_the_report_knows_nothing_of_language_models() -> None:
    for path in (PACKAGE / "report").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("groundup."):
                files = ("groundup.store.files", "groundup.store.plain_yaml")  # which know of files alone
                assert floor(node.module) in ("report", "errors") or node.module in files, path


def test_nothing_is_unpickled_and_no_code_is_fetched() -> None:
    for path in MODULES:
        text = path.read_text()
        for danger in ("pickle.load", "torch.load(", "allow_pickle=True", "trust_remote_code", "eval(", "yaml.unsafe"):
            assert danger not in text.replace("def eval(", "").replace(".eval()", ""), f"{danger} in {path}"


def test_no_dependency_may_report_anything_to_anyone() -> None:
    names = ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    code = f"import groundup, os; print(*(os.environ[name] for name in {names}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean, check=True)
    assert done.stdout.split() == ["1", "1", "0"]
