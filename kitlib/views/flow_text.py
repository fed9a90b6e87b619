"""The flow for a terminal: one line a step."""

from __future__ import annotations

from kitlib.trace.flow import Flow, Step


def revisions(step: Step) -> str:
    """`rev 43`, `rev 43–45`, or nothing for what the runtime did."""
    if not step.revisions:
        return ""
    first, last = min(step.revisions), max(step.revisions)
    return f"rev {first}" if first == last else f"rev {first}–{last}"


def woken(step: Step) -> str:
    """`because of rev 41`, or nothing for a person's own will."""
    if not step.causes:
        return ""
    first, last = min(step.causes), max(step.causes)
    return f"because of rev {first}" if first == last else f"because of rev {first}–{last}"


def render(flow: Flow) -> str:
    if not flow.steps:
        return f"Nothing was recorded about {flow.target}. Is the name right, and the namespace?"
    width = max(len(step.actor) for step in flow.steps)
    lines = [f"{step.number:>3}  {step.at:8.3f} s  {step.actor:<{width}}  {step.text}"
             + "".join(f"  [{part}]" for part in (revisions(step), woken(step)) if part) for step in flow.steps]
    if flow.rebuilt:
        lines.append("Rebuilt from managedFields and Events: this cluster does not record causes.")
    return "\n".join(lines)
