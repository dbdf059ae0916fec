import re
import shlex
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from PIL import Image

from imitate.data.video.writer import FOR_PEOPLE, write_video
from imitate.errors import UserError
from imitate.keeping.manifest import manifest_of
from imitate.keeping.runs import Stage, read_json, write_json
from imitate.pipelines.__main__ import main
from imitate.pipelines.report import Settings, run
from imitate.pipelines.reporting.plot import SIDE, Line, plot
from imitate.pipelines.reporting.policies import natural, read_policies
from imitate.pipelines.shared.results import Results, write_results
from imitate.pipelines.shared.rollout import Rollout

SECTIONS = ["demonstrations", "policies", "learning", "benchmark", "encoder", "reward", "recording", "settings"]
HOSTILE = "</script><script>alert(1)</script>\"'&{{ 7 * 7 }}.mp4"
STEPS = 20


def finish(folder, settings, metrics, pictures=()):
    stage = Stage(folder)
    stage.begin(settings)
    for name in pictures:
        Image.new("RGB", (300, 200), "white").save(stage.path(name))
    stage.finish(metrics)
    return stage


def imitate(folder, demo="test:0", error=0.04, known=True, steps=True, **settings):
    """A stage as ``imitate`` leaves it."""
    names = ("ee_error_m", "final_ee_error_m", "joint_error_rad")
    metrics = {f"{who}{name}": error if known else None for who in ("", "hold_still_", "random_") for name in names}
    stage = Stage(folder)
    stage.begin({"demo": demo, "seed": 0, "name": "", "oracle": False, "encoder": None, "learner": {}} | settings)
    row = {"reward": -1.0, "ee_error_m": error if known else None}
    write_json(stage.path("curve.json"), [{"steps": 100.0 * k, **row} for k in (1, 2, 3)])
    if steps:
        wave, joints = np.linspace(0.01, 0.05, STEPS), np.zeros((STEPS, 7), np.float32)
        errors = wave if known else np.full(STEPS, np.nan)
        write_json(
            stage.path("rollout.json"),
            {"fps": 20, **Rollout(-wave, 10 * wave, errors, errors, joints, np.arange(1, len(joints) + 1)).series()},
        )
    y, x = np.mgrid[0:276, 0:512]
    frames = (np.stack([x // 2, y // 2, (x + y + 20 * k) % 256], axis=-1) for k in range(STEPS + 1))
    write_video(stage.path("side_by_side.mp4"), (frame.astype(np.uint8) for frame in frames), 20, FOR_PEOPLE)
    stage.finish(metrics)
    return stage


def benchmark(folder, name="tcn_self"):
    path = folder / "results.csv"
    row = {"ee_error_m": 0.031, "ee_error_m_low": 0.02, "ee_error_m_high": 0.04, "joint_error_rad": 0.1, "success": 0.9}
    summary = [{"method": "worse", "ee_error_m": 1.0}, {"method": "better", "ee_error_m": 0.5}]
    summary.append({"method": name, **row, "runs": 15})
    write_results(path, Results([], {"command": "python", "methods": {name: name}}, {"summary": summary}))
    Image.new("RGB", (300, 200), "white").save(path.with_suffix(".png"))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run in which every command has run, one demonstration is hostile, and one stage is unfinished."""
    folder = tmp_path_factory.mktemp("report") / "whole"
    finish(folder / "record", {"train": 3}, {"episodes": 3, "frames": 150}, ["contact_sheet.png"])
    figures = {"triplet_accuracy": 0.998, "untrained_triplet_accuracy": 0.934, "pixels_triplet_accuracy": 0.977}
    embed = {"objective": "infonce", "encoder": "conv", "self_regression": 50.0}
    finish(folder / "embed", embed, figures, ["tsne.png", "distances.png"])
    finish(folder / "embed-plain", embed | {"self_regression": 0.0}, figures, ["tsne.png", "distances.png"])
    check = {"near_spearman_joint": 0.951, "true_near_spearman_joint": 0.98, "visibility": {"10": [0.3, 0.1]}}
    finish(folder / "check-reward", {"probe": {}, "policy": ""}, check, ["reward.png"])
    imitate(folder / "imitate")
    imitate(folder / "imitate-seed-1", error=0.08, seed=1)
    imitate(folder / "imitate-oracle", oracle=True, error=0.01)
    imitate(folder / "imitate-test-10", demo="test:10", steps=False)
    imitate(folder / "imitate-test-2", demo="test:2")
    imitate(folder / "imitate-hostile", demo=HOSTILE, known=False, note=HOSTILE)
    Stage(folder / "imitate-late").begin({"demo": "test:4", "learner": {}})
    return folder


@pytest.fixture(scope="module")
def page(whole):
    return run(Settings(whole, benchmark=benchmark(whole.parent, HOSTILE)))


class Reader(HTMLParser):
    """Elements, their attributes, and the text of each section."""

    VOID = ("meta", "link", "img", "br", "input")

    def __init__(self, path):
        super().__init__()
        self.elements, self.open, self.text, self.section = [], [], {}, None
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "section":
            self.section = dict(attrs)["id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            self.section = None

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def test_all_is_inside(page):
    reader = Reader(page)
    for tag, attrs in reader.elements:
        for key in ("src", "href", "poster", "data", "srcset", "action"):
            assert attrs.get(key, "#").startswith(("#", "data:")), (tag, key, attrs[key][:80])
    assert not re.search(r"https?:|url\(|@import", page.read_text(encoding="utf-8"))
    assert "default-src 'none'" in page.read_text(encoding="utf-8")
    assert len(reader.all("video")) == 4
    assert len(reader.all("img")) == 7


def test_every_section_is_there_and_can_be_read_without_eyes(page):
    reader = Reader(page)
    assert [attrs["id"] for attrs in reader.all("section")] == SECTIONS
    ids = {attrs["id"] for _, attrs in reader.elements if "id" in attrs}
    links = [attrs["href"] for attrs in reader.all("a")]
    assert set(SECTIONS) <= {link[1:] for link in links} <= ids
    assert all(attrs["alt"] for attrs in reader.all("img"))
    assert all(attrs["aria-label"] for attrs in reader.all("video"))
    assert all(attrs.get("scope") for attrs in reader.all("th"))
    assert all(attrs.get("aria-label") or "aria-hidden" in attrs for attrs in reader.all("svg"))
    assert "0.934" in reader.text["encoder"]
    assert "self-regression" in reader.text["encoder"]
    assert "0.951" in reader.text["reward"]
    assert "ranks poses as it should" in reader.text["reward"]
    assert "2.0 to 4.0" in reader.text["benchmark"]
    order = [reader.text["benchmark"].rindex(name) for name in (HOSTILE, "better", "worse")]
    assert order == sorted(order)
    assert "imitate-late" in reader.text[None]


def test_what_files_say_is_no_markup(page):
    reader = Reader(page)
    assert len(reader.all("script")) == 1
    for section in ("demonstrations", "policies", "learning", "benchmark", "settings"):
        assert HOSTILE in reader.text[section]


def test_the_table_has_all_policies_in_their_order(whole):
    policies = read_policies([Stage(path.parent) for path in whole.glob("imitate*/manifest.json")])
    assert [one.stage.folder.name for one in policies] == [
        "imitate",
        "imitate-seed-1",
        "imitate-oracle",
        "imitate-test-2",
        "imitate-test-10",
        "imitate-hostile",
    ]
    assert [one.how for one in policies][:3] == ["", "", "oracle"]
    assert [one.success for one in policies] == [True, False, True, True, True, None]


def test_each_demonstration_has_one_video_and_what_ran_underneath(page):
    text = Reader(page).text["demonstrations"]
    assert "the first of 3 that learned it" in text
    assert "older than rollout.json" in text
    drawn = re.findall(r"data-values='([^']*)'", page.read_text(encoding="utf-8"))
    assert len(drawn) == 3 + 3 + 0 + 1  # of the hostile, bare video nothing but the embedding is known
    assert all(values.count(",") == STEPS - 1 for values in drawn)


def test_the_steps_of_an_older_policy_are_those_of_its_evaluation(tmp_path):
    old = imitate(tmp_path / "imitate-test-2", demo="test:2", steps=False)
    assert read_policies([old])[0].steps == {}
    asked = {"policy": "imitate-test-2", "demos": ["test:0", "test:2"], "start_noise": 0.0}
    for name, changed in (("evaluate-noise", {"start_noise": 0.1}), ("evaluate", {}), ("evaluate-b", {"policy": "b"})):
        stage = Stage(tmp_path / name)
        stage.begin(asked | changed)
        write_json(stage.path("demonstration-1.json"), {"fps": 20, "ee_error_m": [0.5, 0.25, None]})
        stage.finish({})
    evaluations = [Stage(tmp_path / name) for name in ("evaluate-noise", "evaluate-b")]
    assert read_policies([old], evaluations)[0].steps == {}
    (policy,) = read_policies([old], [*evaluations, Stage(tmp_path / "evaluate")])
    np.testing.assert_equal(policy.steps["ee_error_m"], [0.5, 0.25, np.nan])
    assert len(re.findall("data-values", run(Settings(tmp_path)).read_text(encoding="utf-8"))) == 1


def test_a_name_that_is_no_text_is_no_obstacle(tmp_path):
    imitate(tmp_path / "imitate", demo="caf\udce9.mp4", known=False)  # Latin-1, as Python reads it from the disk
    assert "caf?.mp4" in Reader(run(Settings(tmp_path))).text["demonstrations"]


def test_the_headline_mixes_no_other_ways_in(page):
    text = Reader(page).text[None]
    assert "3 of 4" in text
    assert "4.0 cm" in text


@pytest.mark.parametrize(
    ("stages", "missing"),
    [
        (["record"], ["embed", "imitate", "check-reward"]),
        (["embed"], ["record", "imitate", "check-reward"]),
        (["imitate"], ["record", "embed", "check-reward"]),
        (["check-reward"], ["record", "embed", "imitate"]),
    ],
)
def test_what_is_missing_is_said_with_its_command(whole, tmp_path, stages, missing):
    part = tmp_path / "a part"
    for name in stages:
        (part / name).parent.mkdir(exist_ok=True)
        (part / name).symlink_to(whole / name)
    reader = Reader(run(Settings(part)))
    assert [attrs["id"] for attrs in reader.all("section")] == SECTIONS
    text = "".join(reader.text.values())
    for name in ("record", "embed", "imitate", "check-reward", "benchmark-imitation"):
        assert (f"imitate {name} --run '{part}'" in text) == (name in [*missing, "benchmark-imitation"])


def test_its_commands_can_be_typed_whatever_the_run_is_called(tmp_path):
    part = tmp_path / 'it\'s a "$5" run'
    imitate(part / "imitate-a b", steps=False)
    written = run(Settings(part)).read_text(encoding="utf-8")
    commands = [shlex.split(unescape(command)) for command in re.findall(r"<code>(imitate .*?)</code>", written)]
    assert {tuple(words[2:4]) for words in commands} == {("--run", str(part))}
    said = {words[1]: words[4:] for words in commands if len(words) > 4}
    assert said == {
        "evaluate": ["--policy", "imitate-a b", "--name", "evaluate-imitate-a b"],
        "report": ["--benchmark", f"{part}/benchmark/imitation.csv"],
    }


def test_a_check_that_embed_made_is_shown(tmp_path):
    finish(tmp_path / "embed", {"objective": "infonce"}, {"near_spearman_joint": 0.871}, ["reward.png"])
    reader = Reader(run(Settings(tmp_path)))
    assert "0.871" in reader.text["reward"]
    assert "may mislead: near_spearman_joint is 0.87, expected 0.9 or more" in reader.text["reward"]
    assert len(reader.all("img")) == 1


def test_equal_runs_give_equal_pages_whole_or_not_at_all(whole, tmp_path):
    out = tmp_path / "pages" / "page.html"
    first = run(Settings(whole, out)).read_bytes()
    assert run(Settings(whole, out)).read_bytes() == first
    with pytest.raises(UserError):
        run(Settings(whole, out, tmp_path / "no.csv"))
    assert out.read_bytes() == first
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("imitate/config.json", "[1]", "imitate: config.json or metrics.json is damaged"),
        ("imitate/config.json", "{", "config.json: not a readable JSON file"),
        ("imitate/metrics.json", "[1]", "imitate: config.json or metrics.json is damaged"),
        ("imitate/metrics.json", '{"ee_error_m": "x", "final_ee_error_m": 1}', "not what 'imitate' writes"),
        ("imitate/curve.json", "[1]", "not what 'imitate' writes"),
        ("imitate/curve.json", '[{"steps": 1, "reward": "high"}]', "not what 'imitate' writes"),
        ("imitate/curve.json", '[{"reward": 1}]', "not what 'imitate' writes"),
        ("imitate/curve.json", '[{"steps": null, "reward": 1}]', "not what 'imitate' writes"),
        ("imitate/rollout.json", '{"fps": 0}', "not what 'imitate' writes"),
        ("imitate/rollout.json", '{"ee_error_m": "far"}', "not what 'imitate' writes"),
        ("results.json", "[]", "results.json: not what stands beside a table of results"),
        ("results-summary.csv", "", "not the results of 'benchmark-imitation'"),
        ("results-summary.csv", "name,ee_error_m\ntcn,1\n", "not the results of 'benchmark-imitation'"),
        ("results-summary.csv", "method,ee_error_m\n1,2\n", "not the results of 'benchmark-imitation'"),
        ("results-summary.csv", "method,ee_error_m\ntcn\n", "results-summary.csv: not a readable table"),
        ("results-summary.csv", "method\n\xe9\n", "results-summary.csv: not a readable table"),
    ],
)
def test_what_another_program_wrote_is_one_line(tmp_path, name, content, message):
    imitate(tmp_path / "imitate")
    results = benchmark(tmp_path)
    path = tmp_path / name
    path.write_text(content, "latin-1")
    write_json(tmp_path / "imitate/manifest.json", manifest_of(tmp_path / "imitate"))  # which it claims to have made
    with pytest.raises(UserError, match=re.escape(message)) as error:
        run(Settings(tmp_path, benchmark=results if name.startswith("results") else None))
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "metrics.json", "curve.json", "rollout.json", "manifest.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(path.read_bytes().replace(b": ", b":  ", 1)),
        lambda path: path.unlink(),
    ],
    ids=["truncated", "changed", "missing"],
)
def test_damage_is_found_and_named(tmp_path, name, damage):
    imitate(tmp_path / "imitate")
    imitate(tmp_path / "imitate-2")
    damage(tmp_path / "imitate" / name)
    if not (tmp_path / "imitate/manifest.json").exists():  # an unfinished stage, as any that was interrupted
        assert "imitate-2" in run(Settings(tmp_path)).read_text()
        return
    with pytest.raises(UserError, match=rf"imitate/{name}: damaged"):
        run(Settings(tmp_path))
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--run", "nowhere"], "nowhere: no finished stage there"),
        (["--run", "begun"], "begun: no finished stage there"),
        (["--benchmark", "no.csv"], "no.csv: no such file"),
        (["--benchmark", "no.json"], "no.json: expected the name of a table, such as no.csv"),
        (["--out", "taken"], "taken: a folder, expected the name of a file"),
        (["--out", "file/page.html"], "file"),
        (["--html", "a"], "--html"),
    ],
)
def test_mistakes_are_one_line(whole, tmp_path, monkeypatch, capsys, args, message):
    monkeypatch.chdir(tmp_path)
    Stage(Path("begun/imitate")).begin({"learner": {}})
    Path("taken").mkdir()
    Path("file").touch()
    monkeypatch.setattr(sys, "argv", ["imitate", "report", "--run", str(whole), "--out", "page.html", *args])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    (line,) = err.splitlines()
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "file", "taken"]


def test_a_plot_is_interrupted_where_nothing_is_known():
    drawn = plot("a", "b", [Line("", np.arange(1.0, 6.0), np.array([1.0, np.nan, 2.0, 4.0, np.nan]), 0)])
    ((_, path),) = drawn.paths
    assert path.count("M") == 2
    assert path.count("L") == 1
    assert path.endswith(f"L{SIDE * 4 / 5:.1f} 0.0")  # the largest value, at the top
    assert (drawn.y_ticks[0].at, drawn.y_ticks[0].text) == (0, "0")
    assert all(0 <= tick.at <= 100 for tick in drawn.x_ticks + drawn.y_ticks)


@pytest.mark.parametrize("y", [[np.nan, np.nan], []])
def test_nothing_known_is_no_plot(y):
    assert plot("a", "b", [Line("", np.arange(float(len(y))), np.array(y), 0)]) is None


def test_a_flat_line_and_negative_values_have_axes():
    for y in ([0.0, 0.0], [-3.0, -1.0], [5.0]):
        drawn = plot("a", "b", [Line("", np.arange(len(y)) + 0.0, np.array(y), 0)])
        assert "nan" not in drawn.paths[0][1]
        assert len(drawn.y_ticks) > 1


@pytest.mark.parametrize("y", [[3.0, 60.0, np.nan], [5.0, 0.0], [1e-4, 500.0], [10.0, 10.0]])
def test_a_logarithmic_axis_holds_all_values(y):
    drawn = plot("a", "b", [Line("", np.arange(len(y)) + 0.0, np.array(y), 0)], log=True)
    heights = [float(number) for _, number in re.findall(r"([0-9.]+) (-?[0-9.]+)", drawn.paths[0][1])]
    assert all(0 <= height <= SIDE for height in heights)
    assert drawn.y_ticks[0].at == 0
    assert drawn.y_ticks[-1].at == pytest.approx(100)
    assert 2 <= len(drawn.y_ticks) <= 9


def test_numbers_sort_as_numbers():
    assert sorted(["test:10", "test:2", "a", "test:1"], key=natural) == ["a", "test:1", "test:2", "test:10"]


def test_what_is_unknown_at_a_step_is_null(tmp_path):
    one, unknown = np.array([1.0, 2.0]), np.array([np.nan, np.inf])
    write_json(
        tmp_path / "rollout.json",
        Rollout(one, one, unknown, unknown, np.zeros((2, 7), np.float32), np.arange(2)).series(),
    )
    assert read_json(tmp_path / "rollout.json")["ee_error_m"] == [None, None]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_fits_and_nothing_complains(browser, page, width, dark):
    browser.show(page, width, dark=dark)
    browser.run("for (const e of document.querySelectorAll('details')) e.open = true")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("matchMedia('(prefers-color-scheme: dark)').matches") == dark
    assert browser.run("document.compatMode") == "CSS1Compat"
    assert browser.complaints == []
    assert {address.split(":")[0] for address in browser.requests} == {"file", "data"}
    contrast = """
        (() => {
          const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
            .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
          const behind = (e) => {
            const colour = getComputedStyle(e).backgroundColor;
            return colour === "rgba(0, 0, 0, 0)" ? behind(e.parentElement) : colour;
          };
          return Math.min(...[...document.querySelectorAll("h1, h2, p, th, td, a, figcaption, .axes span")].map((e) => {
            const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05);
          }));
        })()"""
    assert browser.run(contrast) > 4.5


@pytest.mark.slow
def test_the_line_follows_the_video(browser, page):
    browser.show(page)
    seen = """
        (async () => {
          const video = document.querySelector("video");
          if (video.readyState < 2) await new Promise((done) => (video.onloadeddata = done));
          const at = async (time) => {
            video.currentTime = time;
            await new Promise((done) => (video.onseeked = done));
            const plot = document.querySelector(".plot");
            return [plot.querySelector(".cursor").getAttribute("d"), plot.querySelector("output").textContent];
          };
          const found = { duration: video.duration, width: video.videoWidth, a: await at(0.01), b: await at(0.525) };
          const axes = document.querySelector(".axes");
          const box = axes.getBoundingClientRect();
          axes.dispatchEvent(new MouseEvent("click", { clientX: box.right }));
          found.clicked = video.currentTime;
          video.currentTime = 0;
          await video.play();
          await new Promise((done) => setTimeout(done, 600));
          video.pause();
          return { ...found, played: video.currentTime };
        })()"""
    found = browser.run(seen)
    assert found["duration"] == pytest.approx((STEPS + 1) / 20, abs=0.01)
    assert found["width"] == 512
    assert found["a"] == ["M0 0V1000", ""]  # the start, before the first step
    assert found["b"] == [f"M{1000 * 10 / STEPS:.0f} 0V1000", "0.3 at 0.50 s"]
    assert found["clicked"] == pytest.approx((STEPS + 0.5) / 20)
    assert found["played"] > 0.1
    assert browser.complaints == []


@pytest.mark.slow
def test_without_scripts_the_plots_are_there(browser, page):
    browser.show(page, scripts=False)
    tree = browser.call("DOM.getDocument", depth=-1)["root"]
    (found,) = (browser.call("DOM.querySelectorAll", nodeId=tree["nodeId"], selector=s) for s in [".film .line"])
    assert len(found["nodeIds"]) == 7
    box = browser.call("DOM.getBoxModel", nodeId=found["nodeIds"][0])["model"]
    assert min(box["width"], box["height"]) > 30


def test_a_run_of_another_environment_is_not_told_to_do_what_the_arm_does(tmp_path):
    finish(tmp_path / "record", {"env": "Pendulum-v1", "steps": 3}, {"episodes": 3})
    page = " ".join(unescape(run(Settings(run=tmp_path)).read_text()).split())
    assert "benchmark-imitation" not in page
    for command in ("imitate", "check-reward"):
        assert f"imitate {command} environment --run {tmp_path} --demo VIDEO" in page
    assert f"imitate embed --run {tmp_path}" in page


def test_an_encoder_for_the_open_world_is_an_encoder(tmp_path):
    figures = {"plain_joint_error_rad": 0.31, "open_joint_error_rad": 0.42}
    settings = {"moments": 96, "self_regression": 50.0, "domain": {"light": [0.4, 1.5]}}
    finish(tmp_path / "embed-open", settings, figures, ["seen.png"])
    page = " ".join(unescape(run(Settings(run=tmp_path)).read_text()).split())
    assert "embed-open<" in page
    assert "residual, in the open, self-regression" in page
    assert "in the plain scene and in the open" in page
