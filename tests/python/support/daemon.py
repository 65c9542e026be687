"""`rehome daemon` as a service manager runs it: a socket it notifies, logs to
read, signals to send."""

import json
import signal
import socket
import subprocess
import threading

from .aws import environment, until
from .process import PATIENCE, REHOME


class Daemon:
    def __init__(self, folder, url, text, watchdog_usec=None, **environ):
        self.file = folder / "rehome.toml"
        self.file.write_text(text)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = folder / "notify"
        self._socket.bind(str(name))
        more = {"NOTIFY_SOCKET": str(name), "RUST_LOG": "warn,rehome=debug"}
        if watchdog_usec:
            more["WATCHDOG_USEC"] = str(watchdog_usec)
        self.env = environment(url, **more | environ)
        self.told, self.logs = [], []

    def command(self):
        return [REHOME, "daemon", "--config", str(self.file)]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command(), env=self.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._read)]
        for thread in self._threads:
            thread.start()
        return self

    def _listen(self):
        while state := self._socket.recv(65536):
            self.told.append(state.decode())

    def _read(self):
        for line in self.process.stderr:
            # What is no log line is a failure's last words.
            self.logs.append(json.loads(line) if line.startswith("{") else {"message": line})

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._hear_out()
        self.process.stderr.close()
        self._socket.close()

    def _hear_out(self):
        """What a process said last may still be on its way when it has ended."""
        if any(thread.is_alive() for thread in self._threads):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.sendto(b"", self._socket.getsockname())
        for thread in self._threads:
            thread.join(PATIENCE)

    def hears(self, state, after=0):
        """Waits until the manager was told this, and returns what came next."""

        def look():
            ended = self.process.poll() is not None
            if ended:
                self._hear_out()
            heard = [at for at, told in enumerate(self.told) if at >= after and told == state]
            assert heard or not ended, self.logs[-3:]
            return heard

        return until(look, f"{state} to be told; so far {self.told[-3:]}")[0] + 1

    def status(self, part):
        """Waits for a status in which this is said."""

        def look():
            statuses = [told for told in self.told if told.startswith("STATUS=")]
            return part in statuses[-1] if statuses else False

        until(look, f"a status with {part!r}")

    def says(self, message):
        """Waits for a log line with this message, and returns all of them."""

        def look():
            return [line for line in self.logs if message in line["message"]]

        return until(look, f"{message!r} in the logs")

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, text):
        self.file.write_text(text)
        self.signal(signal.SIGHUP)

    def stop(self):
        """As systemd stops it; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)
