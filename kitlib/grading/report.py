"""What an instructor gets: results as JSON, one CSV row per submission, and one HTML page to look at.

Cells of the CSV hold points; empty means "not decided", which is not zero.  A text that a spreadsheet would
take for a formula is quoted, since names of files come from learners.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from kitlib.checks.framework import Lab
from kitlib.views.theme import COLOURS

Row = Mapping[str, Any]


def write(rows: Sequence[Row], lab: Lab, out: Path) -> list[Path]:
    """Write results.json, results.csv, index.html and submissions/NAME.json; returns the files."""
    single = out / "submissions"
    single.mkdir(parents=True, exist_ok=True)
    files = {out / "results.json": json.dumps(list(rows), indent=1) + "\n", out / "results.csv": csv_text(rows, lab),
             out / "index.html": html(rows, lab)}
    for number, row in enumerate(rows, 1):
        files[single / f"{number:04d}-{_plain(row['submission'])}.json"] = json.dumps(row, indent=1) + "\n"
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:80]


def csv_text(rows: Sequence[Row], lab: Lab) -> str:
    names = [exercise.name for exercise in lab.exercises]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["submission", "score", "max_score", "status", "seconds", *names])
    for row in rows:
        points = {e["name"]: "" if e["passed"] is None else e["points"] for e in row["exercises"]}
        score = "" if row["score"] is None else row["score"]
        writer.writerow([_no_formula(row["submission"]), score, row["max_score"], row["status"], row["seconds"],
                         *(points.get(name, "") for name in names)])
    return text.getvalue()


def _no_formula(text: str) -> str:
    return "'" + text if text[:1] in "=+-@\t\r" else text


STYLE = f"""
body {{ font-family: system-ui, sans-serif; margin: 2rem; color: #1a1a2e; background: #fff; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid #ccd; text-align: left; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
th.e {{ writing-mode: vertical-rl; transform: rotate(180deg); font-weight: 500; }}
.yes {{ color: {COLOURS['kubelet']}; font-weight: 700; }} .no {{ color: {COLOURS['runtime']}; font-weight: 700; }}
.open {{ color: #8a6100; }} details {{ margin: .4rem 0; }} summary {{ cursor: pointer; }}
dt {{ font-weight: 600; }} dd {{ margin: 0 0 .4rem 1.2rem; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #eceff4; background: #14161c; }} }}
"""
MARKS = {True: ("yes", "✔"), False: ("no", "✘"), None: ("open", "…")}


def html(rows: Sequence[Row], lab: Lab) -> str:
    """One self-contained page: the class as a table, then each submission with its hints."""
    graded = [row["score"] for row in rows if row["score"] is not None]
    mean = f"{sum(graded) / len(graded):.1f} of {lab.max_points} points on average" if graded else "none graded"
    head = "".join(f'<th class="e">{escape(e.name)}</th>' for e in lab.exercises)
    body = "".join(_table_row(row, lab) for row in rows)
    details = "".join(_details(row) for row in rows)
    isolation = ", ".join(sorted({row["isolation"] for row in rows} - {""})) or "none"
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(lab.stem)}: grades</title>'
            f"<style>{STYLE}</style><h1>{escape(lab.title)}</h1>"
            f"<p>{len(rows)} submissions, {mean}. Isolation of learner code: {escape(isolation)}.</p>"
            f"<table><tr><th>submission</th><th>score</th><th>status</th><th>seconds</th>{head}</tr>{body}</table>"
            f"<p>✔ passed, ✘ not passed, … not decided (not counted as zero).</p>{details}</html>\n")


def _table_row(row: Row, lab: Lab) -> str:
    results = {e["name"]: e for e in row["exercises"]}
    cells = []
    for exercise in lab.exercises:
        result = results.get(exercise.name, {"passed": None})
        style, mark = MARKS[result["passed"]]
        why = (result.get("cause") or {}).get("rationale", "")
        cells.append(f'<td class="{style}" title="{escape(why)}">{mark}</td>')
    score = "–" if row["score"] is None else row["score"]
    return (f'<tr><td>{escape(row["submission"])}</td><td class="n">{score} / {row["max_score"]}</td>'
            f'<td>{escape(row["status"])}</td><td class="n">{row["seconds"]:.1f}</td>{"".join(cells)}</tr>')


def _details(row: Row) -> str:
    parts = [f"<p>{escape(note)}</p>" for note in row["notes"]]
    for result in row["exercises"]:
        style, mark = MARKS[result["passed"]]
        parts.append(f'<dt><span class="{style}">{mark}</span> {escape(result["description"])} '
                     f'({result["points"]} of {result["max_points"]})</dt>')
        if result["cause"]:
            cause = result["cause"]
            texts = [cause["rationale"], *(f"{key}: {cause[key]}" for key in ("expected", "actual")
                                           if cause[key] is not None), f"hint: {cause['help']}"]
            parts.append("<dd>" + "<br>".join(escape(text) for text in texts) + "</dd>")
        elif result["passed"] is None:
            parts.append("<dd>" + "<br>".join(escape(line) for line in result["log"]) + "</dd>")
    return f"<details><summary>{escape(row['submission'])}</summary><dl>{''.join(parts)}</dl></details>"
