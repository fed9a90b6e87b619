"""The button below an exercise: it has checked once, and checks again when pressed.

It is an anywidget, so it needs no extension to be built, and it shows its text where there are no widgets
(nbclient, a terminal, GitHub).  Colour is never alone: a mark and words say the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import Any

import anywidget
import traitlets

from kitlib.checks.framework import Result
from kitlib.checks.run import text

ESM = """
function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "kit-check";
  const button = document.createElement("button");
  const words = document.createElement("div");
  words.setAttribute("aria-live", "polite");
  root.append(button, words);
  el.append(root);
  const draw = () => {
    const state = model.get("state");
    root.dataset.state = state;
    button.textContent = model.get("label");
    button.disabled = state === "running";
    words.innerHTML = model.get("words");
  };
  button.addEventListener("click", () => {
    model.set("state", "running");
    model.set("label", "checking…");
    model.save_changes();
    model.send({ kind: "check" });
  });
  for (const name of ["state", "label", "words"]) model.on("change:" + name, draw);
  draw();
}
export default { render };
"""

CSS = """
.kit-check { font-family: system-ui, sans-serif; margin: 4px 0; padding: 8px 12px; border-left: 6px solid #e69f00;
  background: var(--jp-layout-color2, #f3f5f9); color: var(--jp-ui-font-color1, #1a1a2e); border-radius: 4px; }
.kit-check button { font: inherit; font-weight: 700; padding: 4px 14px; border-radius: 4px; border: 0; cursor: pointer;
  color: #ffffff; background: #8a6100; }
.kit-check[data-state="passed"] { border-color: #009e73; }
.kit-check[data-state="passed"] button { background: #00724f; }
.kit-check[data-state="wrong"] { border-color: #d55e00; }
.kit-check[data-state="wrong"] button { background: #a84900; }
.kit-check dl { margin: 6px 0 0; display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px; }
.kit-check dl > dt { font-weight: 600; width: auto; white-space: nowrap; }
.kit-check dl > dd { margin: 0; width: auto; padding: 0; }
.kit-check code { background: var(--jp-layout-color1, #ffffff); padding: 0 3px; border-radius: 3px; }
"""

STATES = {True: ("passed", "✔ passed"), False: ("wrong", "✘ not yet: check again"),
          None: ("undecided", "… check again")}


class CheckButton(anywidget.AnyWidget):
    """Shows a `Result`; pressing it runs the check again in this kernel.  `result` is the newest one."""

    _esm = ESM
    _css = CSS
    state = traitlets.Unicode("running").tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    words = traitlets.Unicode("").tag(sync=True)

    def __init__(self, run: Callable[[], Result]) -> None:
        super().__init__()
        self._run_check = run
        self.result = run()
        self._show()
        self.on_msg(self._pressed)

    def _pressed(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and content.get("kind") == "check":
            self.result = self._run_check()
            self._show()

    def _show(self) -> None:
        self.words = words(self.result)
        state, label = STATES[self.result.passed]
        self.label = label
        self.state = state

    def __repr__(self) -> str:
        return text(self.result)


def words(result: Result) -> str:
    """A result as HTML: the exercise, then what is wrong and the hint."""
    parts = [f"<strong>{escape(result.description)}</strong>"]
    if result.cause:
        rows = [("what is wrong", prose(result.cause["rationale"])), ("expected", plain(result.cause["expected"])),
                ("actual", plain(result.cause["actual"])), ("hint", prose(result.cause["help"]))]
        parts.append("<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows if value) + "</dl>")
    elif result.passed is None:
        parts += [f"<div>{escape(line)}</div>" for line in result.log]
    return "".join(parts)


_CODE, _STRESS = re.compile(r"`([^`]+)`"), re.compile(r"(?<![\w*])\*(\w[^*\n]*)\*(?![\w*])")


def plain(value: Any) -> str:
    """A value as HTML; "" for None."""
    return "" if value is None else escape(str(value))


def prose(text: str) -> str:
    """A sentence as HTML: `code` and *stress* as in Markdown, everything else as it is.

    >>> prose("run `a < *b*` *before* it")
    'run <code>a &lt; *b*</code> <em>before</em> it'
    """
    parts = _CODE.split(text)
    return "".join(f"<code>{escape(part)}</code>" if number % 2 else _STRESS.sub(r"<em>\1</em>", escape(part))
                   for number, part in enumerate(parts))


def check_button(run: Callable[[], Result]) -> CheckButton:
    """Run a check and return its button."""
    return CheckButton(run)
