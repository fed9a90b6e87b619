"""kit/echo: an HTTP server that says which Pod it is.  Runs inside a Pod, so it needs nothing but the standard library.

    GET /anything  →  web-7d4b9-x2x7k        the Pod's name (POD_NAME, else the hostname)
                      GET /anything
    GET /healthz   →  ok

Port 8080, or $PORT.  On SIGTERM it takes no new connection, answers what was asked, and ends with 0.
"""

import os
import select
import signal
import socket

NAME = os.environ.get("POD_NAME") or os.environ.get("HOSTNAME") or socket.gethostname()
PORT = int(os.environ.get("PORT", "8080"))
HOST = os.environ.get("POD_IP") or "0.0.0.0"  # the runtime says POD_IP where it cannot give a Pod its own 0.0.0.0
_TOO_LONG = 64 * 1024


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.received = b""
        self.to_send = b""
        self.last = False


def answer(request):
    """The response to a request's head, and whether the connection goes on."""
    lines = request.split(b"\r\n")
    parts = lines[0].decode("latin-1").split(" ")
    headers = dict(line.lower().split(b":", 1) for line in lines[1:] if b":" in line)
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        return response("400 Bad Request", "that was not HTTP\n", False), False, 0
    method, path, version = parts
    wish = headers.get(b"connection", b"").strip()
    keep = wish == b"keep-alive" or (version == "HTTP/1.1" and wish != b"close")
    try:
        length = int(headers.get(b"content-length", b"0"))
    except ValueError:
        length = -1
    if length < 0 or b"transfer-encoding" in headers:
        return response("411 Length Required", "a body needs a Content-Length\n", False), False, 0
    body = "ok\n" if path.split("?")[0] == "/healthz" else f"{NAME}\n{method} {path}\n"
    keep = keep and not state["stopping"]
    return response("200 OK", body, keep, head=method == "HEAD"), keep, length


def response(status, body, keep, head=False):
    data = body.encode()
    start = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(data)}\r\n"
    end = f"Connection: {'keep-alive' if keep else 'close'}\r\nServer: kit-echo\r\n\r\n"
    return (start + end).encode() + (b"" if head else data)


def serve(connection):
    """Answer every complete request that has arrived."""
    while not connection.last and b"\r\n\r\n" in connection.received:
        head, _, rest = connection.received.partition(b"\r\n\r\n")
        data, keep, length = answer(head)
        if len(rest) < length:  # its body is still on the way; it is not looked at, but must be out of the way
            if length > _TOO_LONG:
                connection.to_send += response("413 Content Too Large", "too long\n", False)
                connection.last = True
            return
        connection.received = rest[length:]
        connection.to_send += data
        connection.last = not keep


def close(connection):
    poll.unregister(connection.sock.fileno())
    del connections[connection.sock.fileno()]
    connection.sock.close()


def flush(connection):
    try:
        while connection.to_send:
            connection.to_send = connection.to_send[connection.sock.send(connection.to_send) :]
    except BlockingIOError:
        poll.modify(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
        return
    if connection.last:
        close(connection)
    else:
        poll.modify(connection.sock.fileno(), select.EPOLLIN)


def on_event(connection):
    try:
        data = connection.sock.recv(65536)
        if not data:
            close(connection)
            return
        connection.received += data
    except BlockingIOError:
        pass  # only room to send
    except OSError:
        close(connection)
        return
    if len(connection.received) > 2 * _TOO_LONG:
        close(connection)
        return
    serve(connection)
    try:
        flush(connection)
    except OSError:
        close(connection)


def on_term(number, frame):
    state["stopping"] = True


def accept():
    try:
        sock, _ = listener.accept()
    except OSError:
        return
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connections[sock.fileno()] = Connection(sock)
    poll.register(sock.fileno(), select.EPOLLIN)


def main():
    listening = True
    print(f"{NAME} listens on port {PORT}", flush=True)
    while True:
        if state["stopping"] and listening:
            listening = False
            poll.unregister(listener.fileno())
            listener.close()
            for connection in [one for one in connections.values() if not one.received and not one.to_send]:
                close(connection)
        if state["stopping"] and not connections:
            break
        for fd, _ in poll.poll():
            if fd == wake:
                os.read(wake, 64)
            elif listening and fd == listener.fileno():
                accept()
            elif fd in connections:
                on_event(connections[fd])
    print(f"{NAME} ends", flush=True)


state = {"stopping": False}
connections: dict[int, Connection] = {}
poll = select.epoll()
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, on_term)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)  # so that a signal ends the wait
    poll.register(wake, select.EPOLLIN)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, PORT))
    listener.listen(512)
    listener.setblocking(False)
    poll.register(listener.fileno(), select.EPOLLIN)
    main()
