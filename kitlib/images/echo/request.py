"""HTTP/1.1 as kit/echo needs it: a request's head, chunked bodies, a response."""

from kitlib.images.echo.options import WISHES, whole

LONGEST_HEAD = 64 * 1024
LONGEST_BODY = 1024 * 1024
REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 301: "Moved Permanently", 302: "Found",
           304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           413: "Content Too Large", 418: "I'm a Teapot", 429: "Too Many Requests", 500: "Internal Server Error",
           501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip


def unquote(text):
    """A query's %20 and + as what they stand for (urllib's parser costs a quarter of our start)."""
    if "%" not in text and "+" not in text:
        return text
    start, *parts = text.replace("+", " ").encode("latin-1").split(b"%")
    out = [start]
    for part in parts:
        try:
            out.append(bytes((int(part[:2], 16),)) + part[2:])
        except ValueError:
            out.append(b"%" + part)
    return b"".join(out).decode("utf-8", "replace")


class Refused(Exception):
    """A request that gets an error and the end of its connection."""

    def __init__(self, status, text):
        self.status, self.text = status, text


class Request:
    """A request's head."""

    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        parts = first.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise Refused(400, "that was not HTTP\n")
        self.method, self.target, version = parts
        self.path, _, query = self.target.partition("?")
        self.query = {}
        for pair in filter(None, query.split("&")):
            name, _, value = pair.partition("=")
            self.query[unquote(name)] = unquote(value)
        self.headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip()
            self.headers[name] = f"{self.headers[name]}, {value.strip()}" if name in self.headers else value.strip()
        lower = {name.lower(): value for name, value in self.headers.items()}
        wish = lower.get("connection", "").lower()
        self.keep = wish == "keep-alive" or (version == "HTTP/1.1" and wish != "close")
        self.chunked = lower.get("transfer-encoding", "").lower() == "chunked"
        self.expects = lower.get("expect", "").lower() == "100-continue"
        try:
            self.length = whole(0, 1 << 62)(lower.get("content-length", "0"))
        except ValueError:
            raise Refused(400, "Content-Length is no number\n") from None
        if self.length > LONGEST_BODY:
            raise Refused(413, f"a body may have {LONGEST_BODY} bytes\n")
        self.json = "application/json" in lower.get("accept", "")
        self.probe = self.path in ("/healthz", "/readyz")
        self.wishes, self.mistake = {}, ""
        for name, value in self.query.items():
            try:
                if name in WISHES:
                    self.wishes[name] = WISHES[name](value)
            except ValueError as error:
                self.mistake = f"{name}={value} {error}\n"


def unchunk(data):
    """(body, what follows) of a chunked body; None while it is not complete."""
    body, at = b"", 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        try:
            length = int(data[at:end].split(b";")[0], 16)
        except ValueError:
            raise Refused(400, "that is no chunk\n") from None
        if length < 0 or len(body) + length > LONGEST_BODY:
            raise Refused(413, f"a body may have {LONGEST_BODY} bytes\n")
        if length == 0:
            last = end if data.startswith(b"\r\n", end + 2) else data.find(b"\r\n\r\n", end + 2)
            return None if last < 0 or len(data) < last + 4 else (body, data[last + 4 :])
        if len(data) < end + 2 + length + 2:
            return None
        body += data[end + 2 : end + 2 + length]
        at = end + 2 + length + 2


def response(pod, status, text, keep, kind="text/plain", head=False):
    data = text.encode() if status not in (204, 304) else b""
    start = (f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\nContent-Type: {kind}\r\n"
             f"Content-Length: {len(data)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n"
             f"Server: kit-echo\r\nX-Pod: {pod}\r\n\r\n")  # fmt: skip
    return start.encode("latin-1", "replace") + (b"" if head else data)
