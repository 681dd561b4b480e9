"""The direction of imports: from a module's own room, from rooms before it, or from those that all may use."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "iris_exporter"

STAGES = (
    *("http", "wire", "decoding", "transports", "model", "instruments", "otel", "persistence"),
    *("streams", "fleet", "grafana", "web", "check", "trial", "watch"),
)
"""Data flows from the left to the right; a stage imports nothing of those on its right. `decoding` comes before
`transports`, which know the seam: a dialect says what they offer and send, and imports nothing of them."""

SHARED = frozenset(
    {"", "errors", "clock", "units", "version", "core", "logs", "settings", "process", "config", "mapping"}
)
"""Any room may import these, and they import one another alone; "" is the package itself, with its version."""

PURE = frozenset({"core", "errors", "units"})
"""No sockets, clocks, files or logs: these import one another alone."""

ASSEMBLY = frozenset({"__main__", "cli", "app", "commands", "backend"})
"""Put everything together; nobody else imports them."""


def room(module: str) -> str:
    """The part of a module's name after the package, "" for the package."""
    return [*module.split("."), ""][1]


def imports(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if room(alias.name) or alias.name == PACKAGE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            names = (alias.name for alias in node.names)
            below = ROOT.joinpath(*str(node.module).split("."))
            for name in names:
                is_module = (below / name).is_dir() or (below / f"{name}.py").is_file()
                yield f"{node.module}.{name}" if is_module else str(node.module)


def is_allowed(source: str, target: str) -> bool:
    """Whether a module in one room may import one in the other."""
    if source == target or source in ASSEMBLY:
        return True
    if source in PURE:
        return target in PURE
    if source in SHARED:
        return target in SHARED
    return target in SHARED or (target in STAGES and STAGES.index(target) < STAGES.index(source))


def test_imports_go_from_right_to_left() -> None:
    wrong = []
    rooms = set()
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        rooms.add(room(module))
        wrong += [f"{module} imports {name}" for name in imports(path) if not is_allowed(room(module), room(name))]
    assert wrong == []
    assert rooms - {"__init__"} <= SHARED | PURE | ASSEMBLY | set(STAGES), "a room that this test does not know"


def test_what_a_screen_shows_is_decided_without_clock_socket_and_screen() -> None:
    """`watch/view` imports its own modules, pure rooms, and of the libraries none that reads time or a network."""
    files = sorted((ROOT / PACKAGE / "watch/view").glob("*.py"))
    own = {name for path in files for name in imports(path) if not name.startswith(f"{PACKAGE}.watch.view")}
    assert len(files) > 5
    assert {room(name) for name in own} <= PURE
    libraries = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                libraries |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                libraries.add((node.module or "").partition(".")[0])
    assert libraries.isdisjoint({"asyncio", "time", "socket", "aiohttp", "textual", "rich", "random", "os", "sys"})


def test_what_a_source_speaks_is_known_to_its_profile_alone() -> None:
    """A stage in front of or behind the seam that imports a dialect would have to change with the next one.

    What tries mappings is about one of them, and reads messages as its engine does.
    """
    dialects = [path for path in (ROOT / PACKAGE / "decoding").iterdir() if path.is_dir() and path.name[0] != "_"]
    own = tuple(f"{PACKAGE}.decoding.{path.name}" for path in dialects)
    importers = set()
    for path in (ROOT / PACKAGE).rglob("*.py"):
        if not any(path.is_relative_to(dialect) for dialect in dialects) and any(
            name.startswith(own) for name in imports(path)
        ):
            importers.add(path.relative_to(ROOT / PACKAGE).as_posix())
    assert own
    assert {name for name in importers if not name.startswith("trial/")} == {"streams/profile.py"}


def test_no_module_is_two_modules() -> None:
    """A module of more than 400 lines is mostly two."""
    lengths = {path.name: path.read_text("utf-8").count("\n") for path in (ROOT / PACKAGE).rglob("*.py")}
    assert [name for name, lines in lengths.items() if lines > 400] == []


def test_the_rule_refuses_what_goes_up() -> None:
    assert not is_allowed("decoding", "model")
    assert not is_allowed("core", "logs")
    assert not is_allowed("config", "http")
    assert not is_allowed("web", "app")
    assert is_allowed("web", "streams")
