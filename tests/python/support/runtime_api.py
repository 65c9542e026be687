"""AWS Lambda in small: the runtime API that one function speaks to, and the
mapping that feeds it the messages of a queue."""

import http.server
import json
import os
import queue
import re
import subprocess
import threading
import time
import uuid

from .aws import environment, until
from .process import PATIENCE, REHOME

ROOT = "/2018-06-01/runtime"
ANSWER = re.compile(rf"{ROOT}/invocation/([^/]+)/(response|error)")


class Invocation:
    """One event on its way through the function."""

    def __init__(self, payload, seconds):
        self.id = str(uuid.uuid4())
        self.payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.seconds = seconds
        self.deadline_ms = None
        self.answer = self.error = None
        self.done = threading.Event()

    def begin(self):
        self.deadline_ms = int((time.time() + self.seconds) * 1000)

    def end(self, kind, body):
        setattr(self, "answer" if kind == "response" else "error", json.loads(body))
        self.done.set()


class RuntimeApi:
    """Hands out one event at a time, as Lambda does to an execution environment."""

    def __init__(self):
        self.asked = threading.Event()
        self.init_errors = []
        self.invocations = []
        self.takes_answers = True
        self.keeps_its_contract = True
        self._waiting = queue.Queue()
        self._under_way = {}
        self._gone = False
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = "{}:{}".format(*self._server.server_address)

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.go_away()

    def go_away(self):
        """No answer any more, and nobody to ask."""
        if self._gone:
            return
        self._gone = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def send(self, payload, seconds=60):
        """An event; seconds is what the function has for it."""
        invocation = Invocation(payload, seconds)
        self.invocations.append(invocation)
        self._waiting.put(invocation)
        return invocation

    def next(self):
        """The next event, or none if the API is gone meanwhile."""
        self.asked.set()
        while not self._gone:
            try:
                invocation = self._waiting.get(timeout=0.05)
            except queue.Empty:
                continue
            self._under_way[invocation.id] = invocation
            invocation.begin()
            return invocation
        return None

    def answered(self, request, kind, body):
        invocation = self._under_way.pop(request, None)
        if invocation:
            invocation.end(kind, body)
        return invocation is not None


class _Handler(http.server.BaseHTTPRequestHandler):
    api = None
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != f"{ROOT}/invocation/next":
            return self._answer(404, b"{}")
        if not self.api.keeps_its_contract:
            return self._answer(500, b"{}")
        invocation = self.api.next()
        if invocation is None:
            self.close_connection = True
            return None
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:rehome",
            "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793",
        }
        return self._answer(200, invocation.payload, headers)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path == f"{ROOT}/init/error":
            self.api.init_errors.append((self.headers.get("lambda-runtime-function-error-type"), json.loads(body)))
            return self._answer(202, b'{"status":"OK"}')
        found = ANSWER.fullmatch(self.path)
        if not self.api.takes_answers:
            self.close_connection = True
            return None
        known = found and self.api.answered(found[1], found[2], body)
        return self._answer(202, b'{"status":"OK"}') if known else self._answer(400, b"{}")

    def _answer(self, status, body, headers=()):
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # whoever asked is gone

    def log_message(self, *_):
        pass


class Function:
    """The binary in one execution environment: named `bootstrap`, without a word."""

    def __init__(self, folder, config, url=None, arguments=(), **more):
        self.api = RuntimeApi()
        self.command = [str(folder / "bootstrap"), *arguments]
        if not os.path.lexists(self.command[0]):
            os.symlink(REHOME, self.command[0])
        surroundings = {
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "rehome",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "REHOME_CONFIG": config,
        }
        self.environment = environment(url, **surroundings | more)
        self.said = []

    def __enter__(self):
        self.api.__enter__()
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self):
        for line in self.process.stderr:
            self.said.append(line)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
        self.process.stderr.close()
        self.api.__exit__()

    def send(self, payload, seconds=60):
        return self.api.send(payload, seconds)

    def invoke(self, payload, seconds=60):
        """Sends an event and waits until the function has answered it."""
        invocation = self.send(payload, seconds)

        def answered():
            assert self.process.poll() is None, "".join(self.said)
            return invocation.done.wait(0.02)

        until(answered, f"an answer to {invocation.payload[:200]!r}", max(seconds, 0) + PATIENCE)
        return invocation

    def ended(self):
        """Its exit code and everything it said, once it has ended."""
        code = self.process.wait(PATIENCE)
        self._reader.join(10)
        return code, "".join(self.said)

    def logs(self):
        """What it logged so far, read."""
        return [json.loads(line) for line in list(self.said) if line.startswith("{")]

    def summaries(self):
        return [line for line in self.logs() if line.get("message") == "invocation ends"]

    def summary_of(self, invocation):
        """How it says it ended. It answers first, and its line is read later."""

        def line():
            ours = (line for line in self.summaries() if line["span"]["request_id"] == invocation.id)
            return next(ours, None)

        return until(line, f"the summary of {invocation.id}", PATIENCE)


class Mapping:
    """An event source mapping: takes batches from a queue of the region, hands
    them to the function, and deletes what did not fail."""

    def __init__(self, region, function, name="events", seconds=60):
        self.sqs, self.function, self.seconds = region.sqs, function, seconds
        self.url = self.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = attributes["Attributes"]["QueueArn"]
        self.receives = {}
        self.follow_ups = 0
        self.settled = False

    def receive(self):
        """Messages, and the event that hands them to the function."""
        messages = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"], WaitTimeSeconds=1
        ).get("Messages", [])
        for message in messages:
            self.receives[message["MessageId"]] = int(message["Attributes"]["ApproximateReceiveCount"])
            self.follow_ups += '"rehome"' in message["Body"]
        return messages, batch([message["Body"] for message in messages], self.arn, messages)

    def turn(self):
        """One batch, if there is one."""
        messages, event = self.receive()
        if not messages:
            return None
        invocation = self.function.invoke(event, self.seconds)
        assert invocation.error is None, invocation.error
        summary = self.function.summary_of(invocation)
        self.settled = summary["settled"] == summary["groups"]
        failed = {item["itemIdentifier"] for item in invocation.answer["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return invocation

    def feed(self, wanted, what, patience=PATIENCE):
        """Turns until this is so."""

        def look():
            self.turn()
            return wanted()

        return until(look, what, patience)

    def count(self, *kinds):
        """How many messages are there to be handed over, "Delayed", or "NotVisible"."""
        wanted = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
        counts = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=wanted)["Attributes"]
        return sum(int(counts[name]) for name in wanted)

    def is_quiet(self):
        """Nothing is to be handed over, and the last invocation left its groups
        settled. What is held back then only looks once more."""
        return self.settled and self.count("", "NotVisible") == 0


def batch(bodies, arn, messages=None):
    """Messages of a queue as a function gets them."""
    messages = messages or [{} for _ in bodies]
    records = []
    for number, (body, message) in enumerate(zip(bodies, messages)):
        records.append(
            {
                "messageId": message.get("MessageId", f"message-{number}"),
                "receiptHandle": message.get("ReceiptHandle", "a-receipt"),
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": message.get("Attributes", {"ApproximateReceiveCount": "1"}),
                "messageAttributes": {},
                "md5OfBody": message.get("MD5OfBody", ""),
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": "us-east-1",
            }
        )
    return {"Records": records}


def notification(message):
    """What SNS hands to a function."""
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": "arn:aws:sns:us-east-1:123456789012:rehome:1",
                "Sns": {
                    "Type": "Notification",
                    "MessageId": str(uuid.uuid4()),
                    "TopicArn": "arn:aws:sns:us-east-1:123456789012:rehome",
                    "Subject": None,
                    "Message": message if isinstance(message, str) else json.dumps(message),
                    "Timestamp": "2026-01-19T00:35:52.359Z",
                    "MessageAttributes": {},
                },
            }
        ]
    }
