"""A build as text: the graph's steps, what became of each, and when; and two builds side by side.

    #1 deps   ← #0   RUN pkg install …      ran     ▕██████      ▏ 0.8 s   never built before
    #5 site   ← #4   RUN bundle …           cached  ▕            ▏         saved 0.3 s
"""

from __future__ import annotations

from kitlib.images.build.report import Change, Report, StepReport
from kitlib.views.theme import shorten

BARS = 24
_TITLE = 44


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 0.095 else f"{1000 * value:.0f} ms"


def size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB" if count >= 1e3 else f"{count} B"


def note(report: Report, step: StepReport) -> str:
    """What there is to say about a step, beside how it went."""
    if step.how == "cached":
        return f"the cache saved {seconds(step.seconds)}"
    if step.how == "ran":
        blamed = report.blame(step.number)
        return step.why if blamed == step.number else f"stands on #{blamed}, which is another"
    if step.how == "skipped":
        return "nothing of the image stands on it"
    return step.why


def bar(report: Report, step: StepReport) -> str:
    """When a step ran: the whole width is the whole build."""
    if not step.worked or not report.seconds:
        return " " * BARS
    begin = min(BARS - 1, int(BARS * step.began / report.seconds))
    length = max(1, round(BARS * step.seconds / report.seconds))
    return (" " * begin + "█" * min(length, BARS - begin)).ljust(BARS)


def begun(report: Report) -> bool:
    return any(step.worked or step.how == "cached" for step in report.steps)


def headline(report: Report) -> str:
    """One sentence about the whole."""
    ran, cached = len(report.ran()), len(report.cached())
    left_out = [step for step in report.steps if step.how == "skipped"]
    needless = [f"{len(left_out)} not needed"] if left_out else []
    if not begun(report):
        return "; ".join([f"{sum(step.how == 'waiting' for step in report.steps)} steps to be carried out", *needless])
    parts = [f"{ran} step{'s' * (ran != 1)} ran, {cached} came out of the cache", *needless]
    parts.append(f"{seconds(report.seconds)} in all")
    if report.work > report.seconds * 1.15:
        parts.append(f"{seconds(report.work)} of work, side by side")
    return "; ".join(parts)


def render(report: Report) -> str:
    rows = [("STEP", "STAGE", "NEEDS", "INSTRUCTION", "HOW", "WHEN", "TOOK", "")]
    for step in report.steps:
        needs = ",".join(f"#{number}" for number in step.needs) or "-"
        rows.append((f"#{step.number}", step.stage, needs, shorten(step.title, _TITLE), step.how, bar(report, step),
                     seconds(step.seconds) if step.worked else "", note(report, step)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([headline(report), *lines])


def outputs(report: Report) -> str:
    """What the steps have printed."""
    return "\n".join(f"#{step.number} {line}" for step in report.steps for line in step.output.splitlines())


def describe(report: Report) -> str:
    """The graph in words: the alternative text of the picture."""
    parts = [headline(report) + "."]
    for step in report.steps:
        needs = " and ".join(f"step {number}" for number in step.needs)
        told = note(report, step)
        parts.append(f"Step {step.number}, stage {step.stage}: {step.title}: {step.how}"
                     + (f" in {seconds(step.seconds)}" if step.worked else "")
                     + (f", after {needs}" if needs else "") + (f": {told}." if told else "."))
    return " ".join(parts)


def verdict(change: Change) -> str:
    return {"broke": f"broke the cache: {change.why}", "follows": f"follows: {change.why}", "kept": "kept",
            "new": f"new: {change.why}", "gone": "gone from the file", "noted": "nothing to do",
            "skipped": "not needed"}.get(change.verdict, f"{change.verdict}: {change.why}".rstrip(": "))
