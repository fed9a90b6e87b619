"""Slides: Markdown → one HTML file that needs no network.

    ---                                   a line of three dashes begins the next slide
    !figure flow 3                        a picture made by kitlib.views.deck_figures
    !code kitlib.controllers.replicaset:ReplicaSet.diff     code by symbol, never pasted
    !note …                               for the instructor: shown with the key `n`

Code that is included by its symbol cannot go stale: if the symbol is gone, the build says so.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import textwrap
from html import escape
from pathlib import Path

from kitlib.cluster.errors import KitError

DIRECTIVE = re.compile(r"^!(figure|code|note)\s+(.*)$", re.MULTILINE)

STYLE = """
:root { --fg: #1a1a2e; --bg: #ffffff; --soft: #f3f5f9; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --fg: #eceff4; --bg: #14161c; --soft: #23262f; --accent: #56b4e9; } }
* { box-sizing: border-box; } html { font-size: clamp(14px, 2.1vmin + 0.35vw, 34px); }
body { margin: 0; color: var(--fg); background: var(--bg); font-family: system-ui, "Segoe UI", sans-serif; }
section { display: none; height: 100vh; overflow: auto; padding: 4vh 6vw 8vh; flex-direction: column; }
section.on { display: flex; } section > * { max-width: 100%; }
h1 { font-size: 2.2em; margin: auto 0 .2em; } h1 ~ p { margin-bottom: auto; } h2 { font-size: 1.5em; margin: 0 0 .6em; }
h2::after { content: ""; display: block; width: 3em; height: .15em; background: var(--accent); margin-top: .2em; }
pre { background: var(--soft); padding: .7em 1em; border-radius: .4em; overflow: auto; font-size: .72em;
  line-height: 1.4; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; } :not(pre) > code { background: var(--soft);
  padding: .05em .3em; border-radius: .2em; } li { margin: .35em 0; }
table { border-collapse: collapse; } td, th { padding: .3em .8em; border-bottom: 1px solid #8a93a6; text-align: left; }
figure { margin: 0; flex: 1 1 0; min-height: 16em; }
figure svg { max-width: none !important; width: 100%; height: 100%; }
.note { display: none; border-left: .3em solid #e69f00; padding: .2em .8em; font-size: .75em; }
body.notes .note { display: block; }
footer { position: fixed; bottom: 1.2vh; right: 2vw; left: 2vw; display: flex; justify-content: space-between;
  font-size: .6em; opacity: .75; }
#bar { position: fixed; left: 0; bottom: 0; height: .35vh; background: var(--accent); }
@media print { section { display: flex; page-break-after: always; min-height: 90vh; } footer, #bar { display: none; } }
"""

SCRIPT = """
const slides = [...document.querySelectorAll("section")];
let at = Math.min(Math.max(1, parseInt(location.hash.slice(1)) || 1), slides.length) - 1;
function show() {
  slides.forEach((s, i) => s.classList.toggle("on", i === at));
  document.getElementById("number").textContent = (at + 1) + " / " + slides.length;
  document.getElementById("bar").style.width = 100 * (at + 1) / slides.length + "%";
  history.replaceState(null, "", "#" + (at + 1));
}
function go(step) { at = Math.min(Math.max(0, at + step), slides.length - 1); show(); }
addEventListener("keydown", e => {
  if (["ArrowRight", "PageDown", " ", "Enter"].includes(e.key)) go(1);
  else if (["ArrowLeft", "PageUp", "Backspace"].includes(e.key)) go(-1);
  else if (e.key === "Home") go(-slides.length);
  else if (e.key === "End") go(slides.length);
  else if (e.key === "n") document.body.classList.toggle("notes");
  else return;
  e.preventDefault();
});
addEventListener("click", e => { if (!e.target.closest("a, pre")) go(e.clientX < innerWidth / 4 ? -1 : 1); });
show();
"""


def build(source: Path) -> str:
    """The deck of a Markdown file as HTML.  Raises KitError naming file and line for a directive that fails."""
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise KitError(f"{source} cannot be read: {error.strerror}") from None
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    sections, line = [], 1
    for slide in re.split(r"^---[ \t]*\n", text, flags=re.MULTILINE):
        sections.append(f"<section>{markdown.render(_expand(slide, source, line))}</section>")
        line += slide.count("\n") + 1
    title = re.search(r"^#\s+(.+)$", text, re.MULTILINE)
    name = escape(title[1] if title else source.stem)
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
            f'{"".join(sections)}<footer><span>{name}</span><span id="number"></span></footer><div id="bar"></div>'
            f"<script>{SCRIPT}</script></body></html>\n")


def _expand(slide: str, source: Path, first_line: int) -> str:
    def replace(match: re.Match[str]) -> str:
        kind, argument = match[1], match[2].strip()
        try:
            if kind == "note":
                return f'<div class="note">{escape(argument)}</div>\n'
            if kind == "code":
                return f"```python\n{symbol_source(argument)}\n```"
            return f"<figure>{_figure(argument)}</figure>\n"
        except KitError as error:
            line = first_line + slide[: match.start()].count("\n")
            raise KitError(f"{source}, line {line}: {error}") from None

    return DIRECTIVE.sub(replace, slide)


def _figure(argument: str) -> str:
    from kitlib.book import deck_walks
    from kitlib.views import deck_figures

    figures = {**deck_figures.FIGURES, "walk": deck_walks.walk}   # its data are computed, which views may not
    name, *arguments = argument.split()
    made = figures.get(name)
    if made is None:
        raise KitError(f"there is no figure {name!r}; there is: {', '.join(sorted(figures))}")
    try:
        return made(*arguments)
    except (TypeError, ValueError) as error:
        raise KitError(f"figure {name} does not take {' '.join(arguments) or 'nothing'}: {error}") from None


def symbol_source(reference: str) -> str:
    """The source of `package.module:Class.method`, without running the module.  Raises KitError if it is not there."""
    module, _, path = reference.partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.origin or not path:
        raise KitError(f"there is no module {module!r} (write package.module:Class.method)")
    text = Path(spec.origin).read_text(encoding="utf-8")
    node: ast.AST = ast.parse(text)
    for name in path.split("."):
        found = next((child for child in ast.iter_child_nodes(node)
                      if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
                      and child.name == name), None)
        if found is None:
            raise KitError(f"{module} has no {path}")
        node = found
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    return textwrap.dedent("\n".join(text.split("\n")[node.lineno - 1:node.end_lineno]))
