"""The house: a file imports only from floors below its own, nothing goes in circles, nothing happens on import."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "winnow"
FLOORS = {
    "values": 0, "dynamics": 1, "ports": 2, "models": 3, "evaluators": 3, "search": 4, "lookahead": 5, "adaption": 5,
    "shift": 5, "runs": 6, "data": 0,
}  # fmt: skip
SURFACE = 7  # everything beside the folders above: api, cli, report, ...


def floor(module: str) -> int:
    parts = module.split(".")
    return FLOORS.get(parts[1], SURFACE) if len(parts) > 1 else SURFACE


def modules() -> dict[str, Path]:
    names = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("winnow", *path.relative_to(ROOT).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(path: Path, known: set[str]) -> set[tuple[str, bool]]:
    """Modules of ours that a file imports, and whether at import time (not within a function or for type checking)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = set()
    for node in ast.walk(tree):
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if lazy or typing:
            late |= {id(child) for child in ast.walk(node) if isinstance(child, ast.Import | ast.ImportFrom)}
    found = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [
                f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in known else str(node.module)
                for a in node.names
            ]
        found |= {(name, id(node) not in late) for name in names if name == "winnow" or name.startswith("winnow.")}
    return found


EDGES = {name: imports(path, set(modules())) for name, path in modules().items()}


@pytest.mark.parametrize("name", sorted(EDGES))
def test_no_import_climbs_a_floor(name):
    climbing = [target for target, _ in EDGES[name] if floor(target) > floor(name)]
    # a floor's own package and the root hold no code that could be depended on from below
    assert not [target for target in climbing if target != "winnow"], f"{name} imports from above: {climbing}"


def test_no_import_cycle():
    graph = {name: {target for target, early in edges if early} - {name} for name, edges in EDGES.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_the_floor_test_can_fail():
    assert (
        floor("winnow.values.tree")
        < floor("winnow.ports.program")
        < floor("winnow.adaption.iterate")
        < floor("winnow.api")
    )


def test_importing_and_asking_for_help_load_nothing_but_click():
    script = (
        "import sys\nbefore = set(sys.modules)\nimport winnow, winnow.cli\nfrom click.testing import CliRunner\n"
        "assert CliRunner().invoke(winnow.cli.cli, ['--help']).exit_code == 0\n"
        "loaded = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "others = loaded - set(sys.stdlib_module_names) - {'winnow', 'click', 'colorama'}\n"
        "assert not others, others\n"
        "assert not loaded & {'asyncio', 'multiprocessing', 'sqlite3', 'unittest', 'http'}, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_file_says_what_it_is_and_none_is_too_long():
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), f"{name} has no docstring"
        assert text.count("\n") <= 400, f"{name} has {text.count(chr(10))} lines"
