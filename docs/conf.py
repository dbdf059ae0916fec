"""How Sphinx builds the site of these pages: ``make docs``."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

import imitate

ALIASES = (
    "Arrays", "Colour", "Colours", "Floats", "Function", "Indices", "Integers", "NDArray", "Picture", "Place", "Range",
    "Reward", "Sampler", "See", "Things", "Times", "Vector", "Video",
)  # fmt: skip

project = "imitate"
author = "The imitate developers"
copyright = "The imitate developers"
version = release = imitate.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_type_aliases = {name: name for name in ALIASES}  # as written, not what they stand for
napoleon_use_ivar = True
napoleon_use_rtype = False
maximum_signature_line_length = 100
nitpicky = True
nitpick_ignore_regex = [  # of other packages, whose pages are not looked up: that would need the network
    ("py:.*", r"(collections|gym|gymnasium|nn|np|numpy|pathlib|spaces|stable_baselines3|torch)\..*"),
    ("py:.*", r"LRScheduler|Path|PPO|SAC|VecEnv|VectorEnv"),
    ("py:.*", r"(imitate\.policy\.ppo\.)?Model"),  # one of these two
    ("py:.*", "|".join(ALIASES)),
]

html_theme = "furo"
html_title = f"imitate {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
html_math_renderer = "mathml"
html_show_copyright = False


def on_the_site(app: Sphinx, page: str, source: list[str]) -> None:
    """Let links to files of the root, which are pages here too, lead to these."""
    for file, of_the_site in (("CONTRIBUTING", "contributing"), ("CHANGELOG", "changelog"), ("README", "index")):
        source[0] = source[0].replace(f"](../{file}.md", f"]({of_the_site}.md")


def as_written(app: Sphinx, what: str, name: str, obj: Any, options: Any, *signature: str | None) -> tuple:
    """Call types by their names, where they stand beside others, too: ``Reward | None``."""
    return tuple(part and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", part) for part in signature)


def as_mathml(translator: Any, node: nodes.math | nodes.math_block) -> None:
    """Write an equation as MathML, which browsers draw by themselves: no script, no font, no network."""
    block = isinstance(node, nodes.math_block)
    mathml = convert(node.astext(), display="block" if block else "inline")
    translator.body.append(f'<div class="math">{mathml}</div>' if block else mathml)
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Add these."""
    app.connect("source-read", on_the_site)
    app.connect("autodoc-process-signature", as_written)
    app.add_html_math_renderer("mathml", (as_mathml, None), (as_mathml, None))
