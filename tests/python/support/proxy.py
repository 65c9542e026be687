"""A proxy in front of an endpoint that lets something go wrong at one call."""

import http.client
import http.server
import socket
import threading
import urllib.parse

from .process import PATIENCE

READS = ("Describe", "Get", "List")


class Proxy:
    """Passes every request on; calls `strike` around every call of the action
    `only`, or around a single one of them, the `nth` (from 0).

    `strike(handler, forward)` decides what becomes of that one request:
    `forward()` carries it out and returns what answers it.
    """

    def __init__(self, target, strike=None, only=None, nth=None):
        self.target = urllib.parse.urlsplit(target).netloc
        self.strike, self.only, self.nth = strike, only, nth
        self.asked = []
        self.changes = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = "http://{}:{}".format(*self._server.server_address)

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def is_struck(self, headers, path, body):
        """Keeps count of the calls and the changes; true for what is chosen."""
        action = urllib.parse.parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
        other = headers.get("x-amz-target", path).rpartition("." if "x-amz-target" in headers else "/")[2]
        name = action or other
        with self._lock:
            before = self.asked.count(name)
            self.asked.append(name)
            if action and not action.startswith(READS):
                self.changes.append(action)
        return self.only == name and self.nth in (None, before)

    @property
    def has_struck(self):
        return self.asked.count(self.only) > (self.nth or 0)


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy = None
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.body = body = self.rfile.read(int(self.headers.get("content-length", "0")))

        def forward():
            connection = http.client.HTTPConnection(self.proxy.target, timeout=PATIENCE)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.headers.get("content-type", "text/xml"), answer.read()
            finally:
                connection.close()

        if self.proxy.is_struck(self.headers, self.path, body):
            self.proxy.strike(self, forward)
        else:
            self.answer(*forward())

    do_PUT = do_GET = do_POST

    def answer(self, status, kind, body, **more):
        try:
            self.send_response(status)
            self.send_header("content-type", kind)
            for name, value in more.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # whoever asked is gone

    def hang_up(self):
        """No answer: the connection is just closed."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        pass
