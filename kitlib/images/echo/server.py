"""kit/echo's loop: connections, answers that are due later, and the end."""

import errno
import heapq
import os
import select
import signal
import socket
import sys
import time
from binascii import a2b_base64

from kitlib.images.echo.options import settings
from kitlib.images.echo.request import LONGEST_BODY, LONGEST_HEAD, Refused, Request, response, unchunk


def place():
    """(namespace, node): told by the environment, else by the ServiceAccount's token, which names its Pod's."""
    root = os.environ.get("KIT_ROOT", "")  # the runtime's, where containers have no root directory of their own
    claims = {}
    try:
        with open(f"{root}/var/run/secrets/kubernetes.io/serviceaccount/token") as file:
            part = file.read().split(".")[1]
        import json

        claims = json.loads(a2b_base64(part.translate({45: 43, 95: 47}) + "==")).get("kubernetes.io", {})
    except (OSError, ValueError, IndexError, AttributeError):
        pass
    return (os.environ.get("POD_NAMESPACE") or claims.get("namespace", ""),
            os.environ.get("NODE_NAME") or claims.get("node", {}).get("name", ""))  # fmt: skip


class Connection:
    def __init__(self, sock, client):
        self.sock, self.client = sock, client
        self.fd = sock.fileno()
        self.received = self.to_send = b""
        self.busy = False  # an answer is due later; what comes behind it waits
        self.last = False  # after what is to be sent comes nothing
        self.continued = False
        self.polled = select.EPOLLIN


class Server:
    def __init__(self, settings):
        self.settings = settings
        self.name = os.environ.get("POD_NAME") or os.environ.get("HOSTNAME") or socket.gethostname()
        self.place = None
        self.started = time.monotonic()
        self.ready = self.healthy = True
        self.stop_at = None  # since SIGTERM: when to close the door
        self.listening = self.closed = False
        self.exit_code = None
        self.connections = {}
        self.later = []  # (when, order, connection, request, body, since): answers that are due later
        self.count, self.errors = 0, 0.0
        self.leaked = []
        self.lines = []
        self.heads = {}  # clients on a kept-alive connection send the same head over and over
        self.poll = select.epoll()
        signal.signal(signal.SIGTERM, self.on_sigterm)
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken)  # so that a signal ends the wait
        self.wake = wake
        self.poll.register(wake, select.EPOLLIN)

    def on_sigterm(self, number, frame):
        how = self.settings["ON_SIGTERM"]
        if how == "ignore":
            self.say("SIGTERM: ignored")
        elif how == "abrupt" or not self.listening:
            os._exit(128 + number)
        elif self.stop_at is None:
            self.stop_at = time.monotonic() + self.settings["DRAIN"]
            self.say("SIGTERM: draining")

    def say(self, text):
        self.lines.append(f"{text}\n")

    def run(self):
        port = self.settings["PORT"]
        # The runtime says POD_IP where it cannot give a Pod its own 0.0.0.0.
        host = os.environ.get("POD_IP") or "0.0.0.0"
        time.sleep(self.settings["START_DELAY"])
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.listener.bind((host, port))
        except OSError as error:
            sys.exit(f"kit/echo: port {port}: {error.strerror}")
        self.listener.listen(512)
        self.listener.setblocking(False)
        self.listening = True
        self.poll.register(self.listener.fileno(), select.EPOLLIN)
        self.say(f"{self.name} listens on port {port}")
        while self.exit_code is None and not (self.closed and not self.connections):
            self.write_log()
            for fd, events in self.poll.poll(self.patience()):
                if fd == self.wake:
                    os.read(fd, 64)
                elif fd in self.connections:
                    self.on_event(self.connections[fd], events)
                elif not self.closed and fd == self.listener.fileno():
                    self.accept()
            now = time.monotonic()
            while self.later and self.later[0][0] <= now:
                self.when_due(heapq.heappop(self.later))
            if self.stop_at is not None and not self.closed and now >= self.stop_at:
                self.close_door()
        self.say(f"{self.name} ends")
        self.write_log()
        return self.exit_code or 0

    def patience(self):
        due = [self.later[0][0]] if self.later else []
        if self.stop_at is not None and not self.closed:
            due.append(self.stop_at)
        return max(0.0, min(due) - time.monotonic()) if due else -1

    def write_log(self):
        if self.lines:
            data = "".join(self.lines).encode("utf-8", "replace")
            self.lines.clear()
            try:
                while data:
                    data = data[os.write(1, data) :]
            except OSError:  # nobody reads it
                pass

    def accept(self):
        while True:
            try:
                sock, address = self.listener.accept()
            except OSError as error:
                if error.errno == errno.EMFILE:
                    time.sleep(0.01)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[sock.fileno()] = Connection(sock, address[0])
            self.poll.register(sock.fileno(), select.EPOLLIN)

    def close_door(self):
        """No new connections; those in which nothing is asked end now, the others after their answer."""
        self.accept()  # who has been let in by the kernel is answered, too
        self.poll.unregister(self.listener.fileno())
        self.listener.close()
        self.closed = True
        for connection in list(self.connections.values()):
            self.on_event(connection, select.EPOLLIN)
            if not (connection.busy or connection.received or connection.to_send):
                self.close(connection)

    def close(self, connection):
        if self.connections.pop(connection.fd, None):
            self.poll.unregister(connection.fd)
            connection.sock.close()

    def on_event(self, connection, events):
        if events & ~select.EPOLLOUT:
            try:
                data = connection.sock.recv(65536)
            except BlockingIOError:
                data = None
            except OSError:
                data = b""
            if data == b"":
                self.close(connection)
                return
            connection.received += data or b""
            if len(connection.received) > LONGEST_HEAD + 2 * LONGEST_BODY:
                self.close(connection)
                return
        self.serve(connection)

    def serve(self, connection):
        """Answer what has arrived, one after the other, and send what can be sent."""
        while not (connection.busy or connection.last):
            try:
                found = self.next_request(connection)
            except Refused as refused:
                connection.to_send += response(self.name, refused.status, refused.text, keep=False)
                connection.last = True
                break
            if found is None:
                break
            request, body = found
            now = time.monotonic()
            delay = request.wishes.get("delay", 0.0 if request.probe else self.settings["DELAY"])
            if delay and not request.mistake:
                connection.busy = True
                heapq.heappush(self.later, (now + delay, self.count, connection, request, body, now))
                self.count += 1
            else:
                self.count += 1
                self.answer(connection, request, body, now)
        self.flush(connection)

    def when_due(self, entry):
        _, _, connection, request, body, since = entry
        if connection.fd in self.connections and self.connections[connection.fd] is connection:
            connection.busy = False
            self.answer(connection, request, body, since)
            self.serve(connection)

    def next_request(self, connection):
        """(request, body), or None while it has not arrived."""
        head, found, rest = connection.received.partition(b"\r\n\r\n")
        if not found:
            if len(connection.received) > LONGEST_HEAD:
                raise Refused(400, "that head is too long\n")
            return None
        request = self.heads.get(head)
        if request is None:
            request = Request(head)
            if len(self.heads) > 200:
                self.heads.clear()
            self.heads[head] = request
        if request.chunked:
            whole_body = unchunk(rest)
        else:
            whole_body = (rest[: request.length], rest[request.length :]) if len(rest) >= request.length else None
        if whole_body is None:
            if request.expects and not connection.continued:
                connection.continued = True
                connection.to_send += b"HTTP/1.1 100 Continue\r\n\r\n"
            return None
        body, connection.received = whole_body
        connection.continued = False
        return request, body

    def answer(self, connection, request, body, since):
        wishes, settings = request.wishes, self.settings
        if request.mistake:
            status, text = 400, request.mistake
        else:
            status = self.act(request)
            text = self.health(request.path) if request.probe else None
            if text is not None:
                status = wishes.get("status", 200 if text == "ok\n" else 503)
        kind = "text/plain"
        if text is None:
            if request.json or wishes.get("format", settings["FORMAT"]) == "json":
                kind = "application/json"
            text = self.report(connection, request, body) if kind == "application/json" else self.words(request)
            text += "." * (wishes.get("size", 0) - len(text) - 1) + "\n" if "size" in wishes else ""
        keep = request.keep and self.stop_at is None and self.exit_code is None
        connection.to_send += response(self.name, status, text, keep, kind, head=request.method == "HEAD")
        connection.last = not keep
        if settings["ACCESS_LOG"]:
            took = (time.monotonic() - since) * 1000
            self.say(f"{request.method} {request.target} {status} {took:.1f}ms from {connection.client}")

    def act(self, request):
        """Do what the request wishes; the status it will get."""
        wishes, settings = request.wishes, self.settings
        if "cpu" in wishes:
            end = time.thread_time() + wishes["cpu"]
            while time.thread_time() < end:
                pass
        leak = wishes.get("leak", 0 if request.probe else settings["LEAK"])
        if leak:
            self.leaked.append(b"x" * leak)
        self.ready = wishes.get("ready", self.ready)
        self.healthy = wishes.get("healthy", self.healthy)
        self.exit_code = wishes.get("exit", self.exit_code)
        if not request.probe:
            self.errors += settings["ERROR_RATE"]  # spread evenly, so that what is measured is what was asked for
            if self.errors >= 1 - 1e-9:
                self.errors -= 1
                return wishes.get("status", settings["ERROR_STATUS"])
        return wishes.get("status", 200)

    def health(self, path):
        age = time.monotonic() - self.started
        if path == "/readyz":
            if self.stop_at is not None:
                return "not ready: stopping\n"
            if age < self.settings["READY_AFTER"]:
                return "not ready: READY_AFTER has not passed\n"
            return "ok\n" if self.ready else "not ready: a request said ready=false\n"
        if 0 < self.settings["HEALTHY_FOR"] < age:
            return "not healthy: HEALTHY_FOR has passed\n"
        return "ok\n" if self.healthy else "not healthy: a request said healthy=false\n"

    def words(self, request):
        version = self.settings["VERSION"]
        return f"{self.name}\n{request.method} {request.target}\n" + (f"version {version}\n" if version else "")

    def report(self, connection, request, body):
        import json

        self.place = self.place or place()
        found = {"pod": self.name, "namespace": self.place[0], "node": self.place[1],
                 "ip": connection.sock.getsockname()[0], "version": self.settings["VERSION"],
                 "client": connection.client, "method": request.method, "path": request.path, "query": request.query,
                 "headers": request.headers, "body": body.decode("utf-8", "replace"), "count": self.count}  # fmt: skip
        return json.dumps(found, indent=2) + "\n"

    def flush(self, connection):
        try:
            while connection.to_send:
                connection.to_send = connection.to_send[connection.sock.send(connection.to_send) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close(connection)
            return
        if connection.last and not connection.to_send:
            self.close(connection)
            return
        wanted = select.EPOLLIN | (select.EPOLLOUT if connection.to_send else 0)
        if wanted != connection.polled:
            self.poll.modify(connection.fd, wanted)
            connection.polled = wanted


def main():
    sys.exit(Server(settings()).run())
