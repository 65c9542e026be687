"""`rehome check`, and what it found."""

import json
import shlex

from .aws import environment
from .process import REHOME, run


class Checked:
    """One run of it, of one group."""

    def __init__(self, ended):
        assert ended.returncode in (0, 1), ended
        assert "panicked" not in ended.stderr
        self.ended, self.exit = ended, ended.returncode
        [self.report] = json.loads(ended.stdout)["groups"]
        self.works, self.machine = self.report["works"], self.report["machine"]
        assert (self.exit == 0) == self.works, ended.stderr

    def of(self, verdict):
        """The lines of this verdict: what was asked, and what was found."""
        return {(f["check"], f["says"]) for f in self.report["findings"] if f["verdict"] == verdict}

    def named(self, check):
        return [f for f in self.report["findings"] if f["check"] == check]

    def verdicts(self, check):
        return {f["verdict"] for f in self.named(check)}

    def wrong(self, check):
        """The one line that says that this is wrong."""
        [found] = [f for f in self.named(check) if f["verdict"] == "wrong"]
        assert found["risk"] and not self.works, found
        return found


def check(file, url, *words, **environ):
    command = [REHOME, "check", "--config", str(file), "--json", *words]
    return Checked(run(command, env=environment(url, **environ)))


def mend(aws, found):
    """Does as it was told, with the stock command line."""
    program, *words = shlex.split(found["mend"], comments=True)
    assert program == "aws", found
    ended = aws.cli(*words)
    assert ended.returncode == 0, ended
