"""The instance metadata service, version 2, of one instance."""

import http.server
import threading

TOKEN = "a-token-of-this-test"


class Imds:
    """Answers as the instance that `become` names; nothing before that."""

    def __init__(self):
        self.paths = {}
        self.asked = []
        self.refused = 0
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = "http://{}:{}".format(*self._server.server_address)

    def become(self, instance, zone, target_state="InService"):
        self.paths = {
            "instance-id": instance,
            "placement/availability-zone": zone,
            "placement/region": zone[:-1],
            "autoscaling/target-lifecycle-state": target_state,
        }

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    service = None
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        ttl = self.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token" or not ttl.isdigit():
            return self._answer(400)
        return self._answer(200, TOKEN, {"x-aws-ec2-metadata-token-ttl-seconds": ttl})

    def do_GET(self):
        self.service.asked.append(self.path)
        if self.headers.get("x-aws-ec2-metadata-token") != TOKEN:
            self.service.refused += 1
            return self._answer(401)
        text = self.service.paths.get(self.path.removeprefix("/latest/meta-data/"))
        return self._answer(404) if text is None else self._answer(200, text)

    def _answer(self, status, text="", headers=()):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
