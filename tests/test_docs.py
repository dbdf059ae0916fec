"""The pages: their snippets run, and the site is built of all of them."""

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from sphinx.util.inventory import InventoryFile

import imitate
from imitate.embedding.encoders import ENCODERS
from imitate.embedding.objectives import OBJECTIVES
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS
from imitate.pipelines.__main__ import module_of
from imitate.pipelines.shared.cli import DEMO, _settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
ELSEWHERE = ("trainers.md",)  # which test_trainers.py runs
SLOW = ("library.md", "own-video.md", "any-environment.md", "index.md")  # they read poses off videos, or train


def told(page):
    return str(page.relative_to(ROOT))


WITH_SNIPPETS = [
    pytest.param(page, id=told(page), marks=pytest.mark.slow if page.name in SLOW else ())
    for page in PAGES
    if SNIPPET.search(page.read_text()) and page.name not in ELSEWHERE
]


@pytest.fixture
def run_directory(tmp_path, monkeypatch):
    """Where what the pages name is what comes with the package."""
    run = tmp_path / "runs" / "default"
    for stage in ("embed", "record"):
        (run / stage).mkdir(parents=True)
    (run / "embed" / "encoder").symlink_to(ROOT / "assets" / "encoder")
    (run / "record" / "dataset").symlink_to(ROOT / "assets" / "demonstration")
    video = ROOT / "assets/demonstration/videos/observation.images.front/chunk-000/file-000.mp4"
    (tmp_path / "my.mp4").symlink_to(video)
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)  # tests run side by side


@pytest.mark.parametrize("page", WITH_SNIPPETS)
def test_snippets_of_a_page_run_one_after_the_other(page, run_directory):
    names = {"__name__": "__main__"}
    with patch.dict(OBJECTIVES), patch.dict(ENCODERS), patch.dict(CAMERAS), patch.dict(ARMS):
        for snippet in SNIPPET.finditer(page.read_text()):
            line = page.read_text()[: snippet.start(1)].count("\n")
            exec(compile("\n" * line + snippet[1], told(page), "exec"), names)


COMMANDS = [
    pytest.param(line[1], id=f"{told(page)}: {line[1]}")
    for page in PAGES
    for line in re.finditer(r"^ +(imitate [a-z].*)$", page.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_pages_are_understood(line):
    _, name, *said = shlex.split(line)
    module = import_module(module_of(name))
    _settings(name, {**module.PRESETS, **getattr(module, "ELSEWHERE", {})}, said, getattr(module, "ALONE", DEMO))


class Links(HTMLParser):
    """What a page asks for, and where it leads."""

    def __init__(self, page):
        super().__init__()
        self.assets, self.pages = [], []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "a" and "href" in attrs:
            self.pages.append(attrs["href"])
        elif tag == "link" and attrs.get("rel") not in ("search", "index", "next", "prev"):
            self.assets.append(attrs["href"])
        elif "src" in attrs:
            self.assets.append(attrs["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", folder / "doctrees", DOCS, folder]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.mark.slow
def test_every_page_of_the_site_is_reached_from_its_index(site):
    reached, waiting = set(), [site / "index.html"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            hrefs = [href.partition("#")[0] for href in Links(page).pages if not re.match(r"\w+:", href)]
            waiting += [(page.parent / href).resolve() for href in hrefs if href.endswith(".html")]
    assert reached >= {site / page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}


@pytest.mark.slow
def test_the_site_asks_for_nothing_outside_itself(site):
    for page in site.rglob("*.html"):
        for asset in Links(page).assets:
            assert not re.match(r"\w+:|//", asset), (page, asset)
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )['\"]?(https?:)?//", style.read_text()), style


@pytest.mark.slow
def test_every_name_that_users_import_is_in_the_reference(site):
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    documented = {name.name if hasattr(name, "name") else name for kind in inventory.data.values() for name in kind}
    assert {f"imitate.{name}" for name in imitate.__all__} <= documented


@pytest.mark.slow
def test_equations_are_drawn_by_the_browser_alone(site):
    assert (site / "concepts.html").read_text().count("<math ") >= 6


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=told)
def test_links_that_lead_out_are_whole(page):
    for link in re.findall(r"(?:\]\(|<)(\w+:[^)> ]*)", page.read_text()):
        assert re.fullmatch(r"https://[\w.-]+\.[a-z]+(/[^\s]*)?", link), link
