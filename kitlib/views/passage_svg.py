"""One request's way into the cluster, drawn: who it passes, what each can see of it, and what each decides by that.

    ① client        GET http://town.example/cart/7              address ● port ● host ● path ● headers ●
    ② Service  L4   TCP from … to …:80  ─▶ a controller's Pod   address ● port ● host ○ path ○ headers ○
    ③ Traefik  L7   the rules; the one that was taken           address ● port ● host ● path ● headers ●
    ④ Pod           got Host, X-Forwarded-For …

The row of discs is the point of it: full is what can be seen there, empty what cannot.  Like all figures: theme.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from kitlib.traffic.passage import Passage
from kitlib.traffic.rules import Route
from kitlib.views import theme

WIDTH, LEFT, BAR = 980, 20, 940
TOP, GAP, LINE = 54, 26, 20
MOST_RULES, MOST_ENDPOINTS = 8, 5
SENSES = ("address", "port", "host", "path", "headers")
USUAL = ("Host", "User-Agent", "Accept", "X-Request-Id")  # of the headers that are sent, not worth a line
TAKEN, OTHER = "▶", "·"


@dataclass
class Line:
    """A line in a lane: a mark, a text, and a second one at the column `at`."""

    text: str
    more: str = ""
    mark: str = ""
    strong: bool = False
    dim: bool = False


@dataclass
class Lane:
    """One of those whom the request passes.  sees: how many of SENSES, counted from the left."""

    title: str
    name: str
    role: str
    sees: int
    lines: list[Line] = field(default_factory=list)

    @property
    def height(self) -> float:
        return 36 + LINE * len(self.lines) + 8


def lanes(way: Passage) -> list[Lane]:
    """Whom the request passed, in order, and what they knew."""
    found = [_client(way)]
    if way.front:
        found.append(_service(way))
    if way.controller is not None:
        found.append(_controller(way))
    if way.status and (way.endpoint or way.seen):
        found.append(_pod(way))
    return found


def _client(way: Passage) -> Lane:
    lane = Lane("Client", "asks", "client", len(SENSES), [Line(f"{way.method} {way.url}", strong=True)])
    lane.lines += [Line(f"{name}: {value}") for name, value in way.answer.sent if name not in USUAL]
    if way.front:
        named = [rule for rule in way.rules if rule.host != "*"]
        whose = "an Ingress's" if any(rule.ingress_class for rule in named) else "a Gateway's"
        says = f"{whose} status says so, and DNS would" if named else "if DNS led that name here; no rule has it"
        lane.lines.append(Line(f"{way.host} is at {way.front.rpartition(':')[0]}: {says}"))
    return lane


def _service(way: Passage) -> Lane:
    lane = Lane("Layer 4", "Service traefik", "L4", 2, [Line(f"a TCP connection to {way.front}")])
    if way.controller is not None:
        lane.lines.append(Line(f"goes to {way.controller.pod} at {way.controller.address}",
                               f"for which it comes from {way.source}", mark=TAKEN, strong=True))
    return lane


def _controller(way: Passage) -> Lane:
    lane = Lane("Layer 7", "ingress controller", "L7", len(SENSES))
    if way.tls:
        common, hosts = way.certificate
        names = ", ".join(host for host in hosts if not host.endswith(".traefik.default")) or "for no host at all"
        lane.lines.append(Line(f"TLS: the client wants {way.host}; it is shown the certificate {common} ({names})"))
    shown = way.rules[:MOST_RULES]
    if way.taken is not None and way.taken not in shown:
        shown = [*shown[:-1], way.taken]
    for rule in shown:
        taken = rule == way.taken
        lane.lines.append(Line(f"{rule.host} {rule.text}", _short(rule), mark=TAKEN if taken else OTHER, strong=taken,
                               dim=not taken))
        if taken:
            lane.lines += _behind(way)
    if len(way.rules) > len(shown):
        lane.lines.append(Line(f"and {len(way.rules) - len(shown)} more rules", dim=True))
    if way.taken is None:
        lane.lines.append(Line("no rule of any Ingress is for this host and path", mark="✗", strong=True))
    return lane


def _behind(way: Passage) -> list[Line]:
    """The endpoints of the Service that was chosen, under its rule."""
    if not way.endpoints:
        return [Line(f"{way.service} has no Pod that is ready", mark="    ✗", strong=True)]
    return [Line(endpoint.address, f"{endpoint.pod} ({'ready' if endpoint.ready else 'not ready'})",
                 mark=f"    {TAKEN if endpoint.address == way.endpoint else OTHER}",
                 strong=endpoint.address == way.endpoint, dim=endpoint.address != way.endpoint)
            for endpoint in way.endpoints[:MOST_ENDPOINTS]]


def _short(rule: Route) -> str:
    return f"{rule.service.partition('/')[2]}   (Ingress {rule.ingress})" if rule.ingress_class \
        else f"{rule.service.partition('/')[2]}   (HTTPRoute {rule.ingress})"


def _pod(way: Passage) -> Lane:
    if not way.seen:
        name = next((e.pod for e in way.endpoints if e.address == way.endpoint), way.endpoint)
        bad = way.status >= 500
        return Lane("Pod", name, "Failed" if bad else "Running", len(SENSES),
                    [Line("nobody answered at " + way.endpoint if way.status == 502 else f"answered {way.status}",
                          mark="✗" if bad else "", strong=True)])
    headers = way.seen["headers"]
    lane = Lane("Pod", f"{way.seen['pod']}", "Running", len(SENSES))
    lane.lines.append(Line(f"the connection comes from {way.seen['client']}",
                           "the controller" if way.controller and way.seen["client"] == way.controller.address else ""))
    for name in ("Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"):
        if name in headers:
            lane.lines.append(Line(f"{name}: {headers[name]}", _meaning(name)))
    return lane


def _meaning(name: str) -> str:
    return {"Host": "what the client asked for", "X-Forwarded-For": "from where the controller was asked",
            "X-Forwarded-Proto": "how the client spoke to the controller",
            "X-Forwarded-Host": "the same, in case somebody changes Host"}[name]


def ending(way: Passage) -> str:
    """What became of it, in one sentence."""
    if not way.status:
        return f"No answer: {way.answer.failure.message if way.answer.failure else 'nobody is there'}."
    words = f"{way.status} {way.answer.reason} after {way.answer.seconds * 1000:.1f} ms"
    if way.origin:
        words += f": {way.origin:.1f} ms behind the controller, {way.overhead:.2f} ms in it"
    elif way.controller is not None:
        words += ": the controller said so, no Pod was asked"
    return words + "."


def render(way: Passage) -> str:
    """The figure as a self-contained SVG."""
    title = f"The way of {way.method} {way.url}"
    parts = [theme.text(LEFT, 32, theme.shorten(title, 90), size=16, weight=700)]
    y: float = TOP
    every = lanes(way)
    for number, lane in enumerate(every, 1):
        if number > 1:
            parts.append(_arrow(LEFT + 80, y - GAP, y, theme.colour(lane.role)))
        parts += _lane(lane, number, y)
        y += lane.height + GAP
    parts.append(theme.text(LEFT, y, ending(way), size=14, weight=700,
                            fill=theme.colour("Failed") if not way.answer.ok else ""))
    return theme.svg(WIDTH, y + 20, "".join(parts), title=title, description=describe(way))


def _lane(lane: Lane, number: int, y: float) -> list[str]:
    colour = theme.colour(lane.role)
    parts = [theme.box(LEFT, y, BAR, lane.height, stroke=colour, thick=2),
             f'<rect x="{LEFT}" y="{y:g}" width="7" height="{lane.height:g}" rx="3" fill="{colour}"/>',
             theme.badge(LEFT + 26, y + 20, number, colour),
             theme.text(LEFT + 44, y + 25, lane.title, size=14, weight=700),
             theme.text(LEFT + 58 + 8.4 * len(lane.title), y + 25, theme.shorten(lane.name, 36), size=13, cls="dim"),
             *_senses(lane, y + 20, colour)]
    for index, line in enumerate(lane.lines):
        at = y + 50 + LINE * index
        weight, cls = (700 if line.strong else 400), "dim" if line.dim else ""
        indent = 24 if line.mark.startswith("    ") else 0
        if line.mark.strip():
            fill = theme.colour("Failed") if "✗" in line.mark else "" if line.dim else colour
            parts.append(theme.text(LEFT + 30 + indent, at, line.mark.strip(), size=13, weight=700, cls=cls, fill=fill))
        parts.append(theme.text(LEFT + 48 + indent, at, theme.shorten(line.text.strip(), 62 if line.more else 118),
                                weight=weight, cls=cls))
        if line.more:
            parts.append(theme.text(LEFT + 500, at, theme.shorten(line.more, 60), weight=weight, cls=cls))
    return parts


def _senses(lane: Lane, y: float, colour: str) -> list[str]:
    """A disc and a word for each thing that a request has: full if it can be seen here."""
    parts, x = [], float(WIDTH - LEFT - 14)
    for index, sense in reversed(list(enumerate(SENSES))):
        seen = index < lane.sees
        x -= 7.2 * len(sense) + 4
        parts.append(theme.text(x, y + 4, sense, size=12, cls="" if seen else "dim"))
        x -= 12
        parts.append(f'<circle cx="{x + 2:g}" cy="{y:g}" r="5" stroke="{colour}" stroke-width="1.5" '
                     f'fill="{colour if seen else "none"}"><title>{escape(sense)}: '
                     f'{"seen" if seen else "not seen"} here</title></circle>')
        x -= 12
    return parts


def _arrow(x: float, y1: float, y2: float, colour: str) -> str:
    return (f'<line x1="{x:g}" y1="{y1:g}" x2="{x:g}" y2="{y2 - 6:g}" stroke="{colour}" stroke-width="3"/>'
            f'<polygon points="{x - 6:g},{y2 - 9:g} {x + 6:g},{y2 - 9:g} {x:g},{y2:g}" fill="{colour}"/>')


def describe(way: Passage) -> str:
    """The same in words."""
    out = [f"The way of {way.method} {way.url}"]
    for number, lane in enumerate(lanes(way), 1):
        out.append(f"{number}. {lane.title}: {lane.name} (sees {', '.join(SENSES[:lane.sees])})")
        for line in lane.lines:
            more = f"  {line.more}" if line.more else ""
            out.append(f"   {line.mark:2} {line.text.strip()}{more}".rstrip())
    return "\n".join([*out, ending(way)])
