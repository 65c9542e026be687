"""Somebody between the daemon and AWS: drops connections, dawdles, and answers
with what is no answer. Below HTTP, so that broken HTTP is among it."""

import contextlib
import random
import re
import socket
import struct
import threading

PAGE = b"<!DOCTYPE html><html><body><p>Please sign in.<br></body></html>"
# What a sound answer is cut into when it dawdles.
CRUMB = 97
# Longer than any client here waits for one answer.
LONG = 30.0
ENDLESS = 64 * 1024 * 1024


class Rogue:
    """Passes requests on to `target`; spoils a part of the answers, by its seed."""

    def __init__(self, seed, share=0.25):
        self.dice, self.share = random.Random(seed), share
        self.passed = self.spoiled = 0
        self.kinds = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._good = threading.Event()
        self._last = (b"", b"")

    def open(self, url):
        host, port = url.rpartition("/")[2].split(":")
        self.target = (host, int(port))
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = "http://{}:{}".format(*self._door.getsockname())
        self._threads = [threading.Thread(target=self._welcome, daemon=True)]
        self._threads[0].start()

    def behave(self):
        self._good.set()

    def close(self):
        self._over.set()
        # Wakes whoever waits for the next guest.
        with contextlib.suppress(OSError):
            socket.create_connection(self._door.getsockname(), timeout=5).close()
        self._door.close()
        for thread in self._threads:
            thread.join(10)

    def _welcome(self):
        while not self._over.is_set():
            try:
                guest, _ = self._door.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(guest,), daemon=True)
            self._threads = [t for t in self._threads if t.is_alive() or t is self._threads[0]]
            self._threads.append(thread)
            thread.start()

    def _serve(self, guest):
        with guest, contextlib.suppress(OSError, ValueError):
            guest.settimeout(LONG)
            while not self._over.is_set():
                request = read_message(guest)
                if not request:
                    return
                kind = self._choose()
                if kind in ("deaf", "hang-up"):
                    return self._without(guest, kind)
                answer = self._forward(request)
                if kind is None:
                    guest.sendall(answer)
                elif not self._spoil(guest, kind, request, answer):
                    return

    def _choose(self):
        with self._lock:
            self.passed += 1
            if self._good.is_set() or self.dice.random() >= self.share:
                return None
            self.spoiled += 1
            kind = self.dice.choice(KINDS)
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            return kind

    def _forward(self, request):
        with socket.create_connection(self.target, timeout=LONG) as up:
            up.settimeout(LONG)
            up.sendall(request)
            return read_message(up)

    def _without(self, guest, kind):
        """It never reaches AWS."""
        if kind == "deaf":
            self._over.wait(1)
        reset(guest)

    def _spoil(self, guest, kind, request, answer):
        """Whether the connection goes on."""
        head, _, body = answer.partition(b"\r\n\r\n")
        with self._lock:
            other = self._last if self._last[0] != action(request) else (b"", PAGE)
            self._last = (action(request), body)
            cut = self.dice.randrange(max(len(body.rstrip()), 1))
            noise = self.dice.randbytes(200)
        whole = {
            "empty": plain(200, b""),
            "no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
            "page": plain(200, PAGE, b"text/html"),
            "bad-gateway": plain(502, PAGE, b"text/html"),
            "forbidden": plain(403, PAGE, b"text/html"),
            "moved": b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
            "half-document": plain(200, body[:cut]),
            "another's": plain(200, other[1]),
            "noise": plain(200, noise),
            "wrong-type": plain(200, body, b"image/png") if b" 200 " in head else answer,
        }.get(kind)
        if whole is not None:
            guest.sendall(whole)
            return True
        if kind == "dawdles":
            for at in range(0, len(answer), CRUMB):
                guest.sendall(answer[at : at + CRUMB])
                self._over.wait(0.01)
            return True
        if kind == "half-body":  # the length is a lie
            guest.sendall(head + b"\r\n\r\n" + body[:cut])
        elif kind == "half-till-close":  # no length: the end of the line is the end
            guest.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + body[:cut])
            guest.shutdown(socket.SHUT_WR)
        elif kind == "tls":
            guest.sendall(b"\x15\x03\x01\x00\x02\x02\x28" + noise)
        elif kind == "junk-head":
            guest.sendall(b"HTTP/1.1 2x0 ??\r\n\x00\xff:\r\ncontent-length: -7\r\n\r\n" + noise)
        elif kind == "endless":
            guest.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\n\r\n<a>")
            for _ in range(ENDLESS // 65536):
                guest.sendall(b" " * 65536)
        elif kind == "lost-answer":
            reset(guest)
        return False


KINDS = (
    ["deaf", "hang-up", "empty", "no-content", "page", "bad-gateway", "forbidden", "moved"]
    + ["half-document", "another's", "noise", "wrong-type", "dawdles", "half-body"]
    + ["half-till-close", "tls", "junk-head", "endless", "lost-answer"]
)


def plain(status, body, kind=b"text/xml"):
    head = b"HTTP/1.1 %d X\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n"
    return head % (status, kind, len(body)) + body


def reset(connection):
    """No farewell: the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def action(request):
    found = re.search(rb"Action=(\w+)|x-amz-target: *([\w.]+)|/operation/(\w+)", request)
    return found[0] if found else b""


def read_message(connection):
    """One whole request or answer, as the region and the clients write them."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    length = int(found[1]) if found else 0
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            return b""
        body += more
    return head + b"\r\n\r\n" + body
