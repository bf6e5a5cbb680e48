"""The architecture as facts about the source: who imports whom, what lives where, how large a thing may grow.

README holds the map. A new edge between rooms changes the map and this file in one commit.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
HOST, SDK = "imperal_host", "imperal_sdk"

# Top to bottom: a room imports from rows below it only; rooms of one row are strangers.
ROWS: tuple[frozenset[str], ...] = (
    frozenset({"cli"}),
    frozenset({"prove"}),
    frozenset({"app"}),
    frozenset({"api"}),
    frozenset({"kernel", "loading"}),
    frozenset({"catalog", "runtime", "gateway", "local"}),
    frozenset({"billing"}),
    frozenset({"ledger", "vault", "tokens"}),
    frozenset({"storage"}),
    frozenset({"verify"}),
    frozenset({"identity", "settings", "log", "clock"}),
    frozenset({"errors"}),
    frozenset({""}),  # the package itself: its docstring and its version
)
# Extensions that attack the host, shipped with it: run in isolates only, they are data and no modules of it.
DATA = Path(HOST, "prove", "hostile")
SHARED_WITH_THE_HOST = ("imperal_sdk.wire", "imperal_sdk.manifest", "imperal_sdk.llm", "imperal_sdk.errors")

# Where a library may be imported: modules, or packages with all that is in them.
HOMES: dict[str, tuple[str, ...]] = {
    "pluggy": ("imperal_host.catalog",),
    "starlette": ("imperal_host.api", "imperal_host.app"),
    "uvicorn": ("imperal_host.cli",),
    "typer": ("imperal_host.cli",),
    "rich": ("imperal_host.cli",),
    "aiohttp": ("imperal_host.gateway.transport",),
    "yarl": ("imperal_host.gateway.transport",),
    "httpx": (
        "imperal_host.gateway",
        "imperal_host.vault.transit",
    ),
    "genai_prices": ("imperal_host.billing",),
    "cryptography": ("imperal_host.vault", "imperal_host.ledger.checkpoint", "imperal_host.verify.note"),
    "structlog": ("imperal_host.log",),
    "logging": ("imperal_host.log", "imperal_sdk.worker.preload"),  # the latter makes it ready for extensions
    "pydantic_settings": ("imperal_host.settings", "imperal_host.cli.run"),  # run explains its errors
    "platformdirs": ("imperal_host.settings",),
    "apsw": ("imperal_host.storage", "imperal_host.ledger"),
    "xllamacpp": ("imperal_host.local",),
    "subprocess": ("imperal_host.runtime", "imperal_host.local", "imperal_host.catalog.pip"),
    # gateway.names asks the system's resolver; gateway.transport makes sockets, to judged addresses only
    "socket": (
        "imperal_host.runtime",
        "imperal_host.local",
        "imperal_host.gateway.names",
        "imperal_host.gateway.transport",
        "imperal_host.prove.stage",  # baits that listen
        "imperal_sdk.worker",
    ),
    "ctypes": ("imperal_host.runtime", "imperal_host.local", "imperal_sdk.worker"),
    "msgspec": ("imperal_sdk.wire", "imperal_sdk.worker"),
}
PROCESSES_START_IN = (
    "imperal_host.runtime",
    "imperal_host.local",
    "imperal_sdk.worker.zygote",
    "imperal_sdk.worker.confine.namespaces",
    "imperal_sdk.worker.confine.canary",  # tries to
)
STARTS_A_PROCESS = {"create_subprocess_exec", "create_subprocess_shell", "posix_spawn", "fork", "execv", "execve"}
READS_THE_ENVIRONMENT = {"environ", "environb", "getenv"}
# prove.stage puts a canary there, for the hostile to find
ENVIRONMENT_IS_TOUCHED_IN = ("imperal_host.settings", "imperal_host.prove.stage", "imperal_sdk.worker.zygote")
PLAINTEXT_IS_TAKEN_OUT_IN = ("imperal_host.gateway.egress", "imperal_host.vault.store")

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
NAMES_THAT_SAY_NOTHING = ("util", "helper", "manager", "misc", "common")


class Source(NamedTuple):
    module: str
    path: Path
    text: str
    tree: ast.Module


class Import(NamedTuple):
    source: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def read(package: str) -> list[Source]:
    sources = []
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.is_relative_to(ROOT / DATA):
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        text = path.read_text(encoding="utf-8")
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources.append(Source(module, path, text, ast.parse(text)))
    return sources


SOURCES = [*read(HOST), *read(SDK)]
MODULES = {source.module for source in SOURCES}


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """As ``ast.walk``, without what stands under ``if TYPE_CHECKING``: that is never executed."""
    yield node
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        children: list[ast.AST] = [*node.orelse]
    else:
        children = [*ast.iter_child_nodes(node)]
    for child in children:
        yield from walk(child)


def imports_of(source: Source) -> Iterator[Import]:
    for node in walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(source.module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for alias in node.names:
                deeper = f"{module}.{alias.name}"
                yield Import(source.module, deeper if deeper in MODULES else module, node.lineno)


IMPORTS = [found for source in SOURCES for found in imports_of(source)]


def inside(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


def room(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def row(module: str) -> int:
    (found,) = (index for index, rooms in enumerate(ROWS) if room(module) in rooms)
    return found


def uses(source: Source, names: set[str]) -> Iterator[str]:
    """Where one of these names is used, as an attribute, on its own, or imported."""
    for node in ast.walk(source.tree):
        used = (
            {node.attr}
            if isinstance(node, ast.Attribute)
            else {node.id}
            if isinstance(node, ast.Name)
            else {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom)
            else set()
        )
        for name in sorted(used & names):
            yield f"{source.module}:{getattr(node, 'lineno', 0)} uses {name}"


def test_the_survey_sees_the_code() -> None:
    edges = {(found.source, found.target) for found in IMPORTS}

    assert len(MODULES) > 80
    assert {
        ("imperal_host.app", "imperal_host.settings"),
        ("imperal_host.api.errors", "imperal_host.errors"),  # written "from imperal_host import errors"
        ("imperal_host.runtime.zygote", "imperal_sdk.wire"),  # written "import imperal_sdk.wire"
        ("imperal_sdk.worker.isolate", "imperal_sdk.worker.serve"),  # inside a function
    } <= edges
    assert ("imperal_sdk.extension", "imperal_sdk.chat.extension") not in edges  # under TYPE_CHECKING


def test_every_room_of_the_host_stands_in_one_row() -> None:
    standing = [name for rooms in ROWS for name in rooms]

    assert len(standing) == len(set(standing))
    assert {room(module) for module in MODULES if inside(module, (HOST,))} == set(standing)


def test_imports_go_down_only_and_neighbours_are_strangers() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if inside(found.source, (HOST,)) and inside(found.target, (HOST,))
        if room(found.source) != room(found.target) and row(found.source) >= row(found.target)
    ]
    assert wrong == []


def test_the_verifier_imports_nothing_of_the_writer() -> None:
    known = {*sys.stdlib_module_names, "cryptography", "orjson"}
    wrong = [
        str(found)
        for found in IMPORTS
        if inside(found.source, ("imperal_host.verify",)) and not inside(found.target, ("imperal_host.verify",))
        if found.target.partition(".")[0] not in known
    ]
    assert wrong == []


def test_the_clock_imports_nothing_of_ours() -> None:
    assert [str(found) for found in IMPORTS if found.source == "imperal_host.clock" and "imperal" in found.target] == []


def test_the_host_imports_only_what_both_sides_must_agree_on() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if inside(found.source, (HOST,)) and inside(found.target, (SDK,))
        if not inside(found.target, SHARED_WITH_THE_HOST)
    ]
    assert wrong == []


def test_the_sdk_never_imports_the_host() -> None:
    wrong = [str(found) for found in IMPORTS if inside(found.source, (SDK,)) and inside(found.target, (HOST,))]
    assert wrong == []


def test_the_host_imports_nothing_by_a_name_it_was_given() -> None:
    # the trust line is an import line: an entry point is metadata here, and loaded only inside a sandbox
    by_name = {"import_module", "__import__", "runpy", "exec_module", "spec_from_file_location", "exec", "eval"}
    host = [source for source in SOURCES if inside(source.module, (HOST,))]
    entry_point_loads = [
        f"{source.module}:{node.lineno} {ast.unparse(node)}"
        for source in host
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load"
        if not node.args  # json.load and its like take a file
    ]
    assert entry_point_loads == []
    assert [use for source in host for use in uses(source, by_name)] == []


def test_until_the_lock_down_is_complete_only_the_standard_library_is_used() -> None:
    early = ("imperal_sdk.worker.zygote", "imperal_sdk.worker.isolate", "imperal_sdk.worker.confine")
    wrong = [
        str(found)
        for found in IMPORTS
        if inside(found.source, early) and not inside(found.target, early)
        if found.target.partition(".")[0] not in sys.stdlib_module_names
    ]
    # inside functions: what comes after it, and what the zygote imports once it sees nothing but trusted code
    assert sorted(use.partition(" ")[2] for use in wrong) == [
        "imports imperal_sdk.worker.preload",
        "imports imperal_sdk.worker.serve",
    ]


def test_the_modules_on_the_way_to_the_lock_down_import_nothing_at_all() -> None:
    # importing a.b.c runs a and a.b first
    packages = ("imperal_sdk", "imperal_sdk.worker")
    wrong = [
        str(found)
        for found in IMPORTS
        if found.source in packages and found.target.partition(".")[0] not in sys.stdlib_module_names
    ]
    assert wrong == []


def test_the_sdk_needs_pydantic_and_msgspec_and_no_other_library() -> None:
    known = {*sys.stdlib_module_names, SDK, "pydantic", "msgspec"}
    wrong = [
        str(found) for found in IMPORTS if inside(found.source, (SDK,)) and found.target.partition(".")[0] not in known
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    unfinished = {module: {f.target for f in IMPORTS if f.source == module} & MODULES for module in MODULES}
    while free := [module for module, needed in unfinished.items() if not needed & unfinished.keys()]:
        for module in free:
            del unfinished[module]
    assert unfinished == {}, "what is left stands in a circle, or above one"


def test_no_import_is_relative() -> None:
    wrong = [
        f"{source.module}:{node.lineno}"
        for source in SOURCES
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert wrong == []


@pytest.mark.parametrize(("library", "homes"), HOMES.items(), ids=HOMES)
def test_a_library_is_imported_at_home(library: str, homes: tuple[str, ...]) -> None:
    users = [found for found in IMPORTS if found.target.partition(".")[0] == library]

    assert users, "a rule about a library that nobody uses is out of date"
    assert [str(found) for found in users if not inside(found.source, homes)] == []


def test_processes_are_started_by_the_runtime_and_the_local_model() -> None:
    found = [use for source in SOURCES for use in uses(source, STARTS_A_PROCESS)]

    assert found
    assert [use for use in found if not inside(use.partition(":")[0], PROCESSES_START_IN)] == []


def test_the_environment_is_the_settings_business() -> None:
    found = [use for source in SOURCES for use in uses(source, READS_THE_ENVIRONMENT)]

    assert found, "the worker clears its own"
    assert [use for use in found if not inside(use.partition(":")[0], ENVIRONMENT_IS_TOUCHED_IN)] == []


def test_a_plaintext_key_is_taken_out_in_two_places() -> None:
    found = {use.partition(":")[0] for source in SOURCES for use in uses(source, {"reveal"})}

    assert found == set(PLAINTEXT_IS_TAKEN_OUT_IN)


def test_there_is_no_float_on_the_path_of_money() -> None:
    wrong = [
        f"{source.module}:{getattr(node, 'lineno', 0)} {ast.unparse(node)}"
        for source in SOURCES
        if inside(source.module, ("imperal_host.billing",))
        for node in ast.walk(source.tree)
        if (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
    ]
    assert wrong == []


def test_modules_stay_small() -> None:
    sources = [*SOURCES, *read("extensions")]
    long = {s.module: lines for s in sources if (lines := len(s.text.splitlines())) > MODULE_LINES_MAX}

    assert long == {}


def test_the_hostile_code_is_no_part_of_the_host_and_its_files_stay_small() -> None:
    hostile = sorted((ROOT / DATA).rglob("*.py"))
    wrong = [str(found) for found in IMPORTS if "hostile" in found.target.split(".")]

    assert len(hostile) > 10
    assert not list((ROOT / DATA).rglob("__init__.py"))
    assert wrong == []
    assert [str(path) for path in hostile if len(path.read_text().splitlines()) > MODULE_LINES_MAX] == []


def test_functions_stay_small() -> None:
    long = {
        f"{source.module}.{node.name}": lines
        for source in [*SOURCES, *read("extensions")]
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_no_module_is_named_for_nothing_in_particular() -> None:
    sources = [*SOURCES, *read("extensions")]
    wrong = [s.module for s in sources if any(word in s.module.lower() for word in NAMES_THAT_SAY_NOTHING)]

    assert wrong == []


@pytest.mark.parametrize("source", [s for s in SOURCES if s.path.name == "__init__.py"], ids=lambda s: s.module)
def test_a_room_says_what_it_is(source: Source) -> None:
    assert ast.get_docstring(source.tree)


def test_every_folder_of_modules_is_a_room() -> None:
    # a folder without __init__ would be importable, and have no design page
    folders = {source.path.parent for source in SOURCES}

    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
