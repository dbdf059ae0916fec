import ast
import re
from pathlib import Path

import pytest

import imitate
from imitate.pipelines.__main__ import COMMANDS, module_of

ROOT = Path(__file__).resolve().parents[1]
LONGEST_MODULE, LONGEST_FUNCTION = 350, 50  # lines
WHOLE = {"envs/rendering/kernel.py": 570}  # what Numba compiled is kept until its file changes: it stands in one
FLOORS = {"imitate": set(), "envs": {"imitate"}, "pipelines": {"imitate", "envs"}}


WINGS = {  # of the library, and what each may stand on
    "errors": set(),
    "keeping": {"errors"},
    "measuring": {"keeping", "errors"},
    "data": {"keeping", "errors"},
    "reading": {"errors"},
    "embedding": {"data", "keeping", "errors"},
    "reward": {"embedding", "data", "measuring", "keeping", "errors"},
    "policy": {"keeping", "errors"},
}


def floor_of(module):
    """A module's floor: `imitate.envs` is the folder `envs`."""
    top, *below = module.split(".")
    return below[0] if top == "imitate" and below and below[0] in FLOORS else top


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_downwards_only(floor):
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    for path in files:
        if path == ROOT / "imitate/__init__.py":
            continue  # the front door, which loads a name of any floor when it is asked for
        for name in imported(path):
            other = floor_of(name)
            assert name.split(".")[0] not in ("envs", "pipelines", "tests"), f"{path} imports {name}"
            assert other not in FLOORS or other == floor or other in FLOORS[floor], f"{path} imports {name}"


MODULES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]  # which follows no links


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= WHOLE.get(str(path.relative_to(ROOT)), LONGEST_MODULE)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min(part.lineno for part in (node, *node.decorator_list))
            assert node.end_lineno - first + 1 <= LONGEST_FUNCTION, node.name


def test_links_lead_from_the_library_to_the_other_floors():
    links = {path.name: path.readlink() for path in (ROOT / "imitate").iterdir() if path.is_symlink()}
    assert links == {name: Path("..") / name for name in ("assets", "envs", "pipelines")}


def test_no_import_within_the_library_runs_back_up():
    for path in (ROOT / "imitate").rglob("*.py"):
        inside = path.relative_to(ROOT / "imitate")
        if inside == Path("__init__.py"):
            continue
        wing = inside.parts[0].removesuffix(".py")
        for name in imported(path):
            if name.startswith("imitate."):
                other = name.split(".")[1]
                assert other == wing or other in WINGS[wing], f"{path} imports {name}"
    rooms = {path.stem for path in (ROOT / "imitate").glob("[a-z]*") if not path.is_symlink()}
    assert rooms == WINGS.keys() | {"py"}


def test_what_users_import_is_there():
    listed = [name for names in imitate._ROOMS.values() for name in names]
    assert sorted(listed) == sorted(imitate.__all__)
    assert all(getattr(imitate, name).__name__ == name for name in listed)
    with pytest.raises(AttributeError, match="module 'imitate' has no attribute 'nothing'"):
        imitate.nothing  # noqa: B018


def test_a_command_calls_only_those_that_make_what_it_works_on():
    makers = {"record": set(), "embed": {"record"}, "imitate": {"record", "embed"}}
    protocols = {
        "benchmark_imitation": {*makers, "check_reward"},
        "benchmark_follow": {"record", "embed"},
        "benchmark_training": {"record", "embed"},
        "benchmark_environments": {"embed"},
        "check_reward": {"embed"},
    }
    calling = {**protocols, "check_reward": {"embed"}, "promote": {"imitate"}}
    names = [module_of(command).split(".")[-1] for command in COMMANDS]
    for name in names:
        tree = ast.walk(ast.parse((ROOT / "pipelines" / f"{name}.py").read_text()))
        local = [node for node in tree if isinstance(node, ast.ImportFrom) and node.level == 1]
        called = {node.module or alias.name for node in local for alias in node.names} & set(names)
        assert called <= (makers | calling).get(name, set()), f"{name} imports {called}"


def test_only_envs_imports_pybullet():
    for path in ROOT.glob("*/**/*.py"):
        if path.parts[len(ROOT.parts)] in ("imitate", "pipelines", "tests") and path.name != "lowpoly.py":
            assert not any(name.split("_")[0] == "pybullet" for name in imported(path)), path


def test_only_bullet_calls_the_physics():
    for path in (ROOT / "envs").glob("*.py"):
        uses = any(name.split(".")[0] in ("pybullet", "pybullet_utils") for name in imported(path))
        assert uses == (path.name == "bullet.py"), path


def test_what_ships_is_small():
    assert sum(p.stat().st_size for p in (ROOT / "assets").rglob("*") if p.is_file()) < 6_000_000


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
OF_THE_SITE = {"index.md", "contributing.md", "changelog.md"}  # its own, and the root's


def anchors(page):
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page):
    text = page.read_text()
    assert "{{" not in text
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_listed_in_a_readme_that_can_be_read_at_once():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    listed = set(re.findall(r"\]\(docs/([^)#]+)\)", "\n".join(lines)))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")} - OF_THE_SITE | {"how-to/index.md"}
