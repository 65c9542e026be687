"""What the command line says to what it does not understand: exit code 2 and
one message that names file, line, key and what is allowed."""

import re

import pytest
from support import aws
from support.process import REHOME, run

GOOD = """\
[[group]]
name = "orders-db"

[[group.volume]]
name   = "data"
device = "/dev/sdf"
"""

VOLUME = '[[group]]\nname = "db"\n[[group.volume]]\nname = "data"\ndevice = "/dev/sdf"\n'

# What is wrong: the text, the line and the key to blame, and what is allowed.
WRONG = {
    "unknown key at the top": ('colour = "red"\n' + GOOD, 1, "colour", "group, wake"),
    "unknown key of a group": (GOOD.replace("name = ", "nmae = ", 1), 2, "nmae", "name"),
    "unknown key of a volume": (GOOD + "sise_gib = 8\n", 7, "sise_gib", "size_gib"),
    "no name": ("[[group]]\nagent = true\n", 1, "name", 'name = "orders-db"'),
    "a group that has nothing": ('[[group]]\nname = "db"\n', 1, "group", "[[group.volume]]"),
    "a number without a unit": (GOOD + "[group.policy]\ncooldown = 10\n", 8, "cooldown", '"10m"'),
    "a unit that is none": (GOOD + '[group.policy]\ncooldown = "10 parsecs"\n', 8, "cooldown", '"10m"'),
    "a time below nothing": (GOOD + '[group.policy]\nmax_data_loss = "-1h"\n', 8, "max_data_loss", "longer than"),
    "no snapshot kept": (GOOD + "[group.policy]\nkeep_snapshots = 0\n", 8, "keep_snapshots", "from 1"),
    "a text for a flag": (GOOD.replace("\n\n", '\nagent = "yes"\n\n', 1), 3, "agent", "true or false"),
    "two volumes of one name": (
        VOLUME + '[[group.volume]]\nname = "data"\ndevice = "/dev/sdg"\n', 7, "name", "its own name",
    ),
    "two volumes of one device": (
        VOLUME + '[[group.volume]]\nname = "log"\ndevice = "/dev/sdf"\n', 8, "device", "its own device",
    ),
    "two groups of one name": (GOOD + GOOD, 8, "name", "its own name"),
    "the root volume's device": (GOOD.replace("sdf", "sda1"), 6, "device", "/dev/sdf to /dev/sdp"),
    "the kernel's name of a device": (GOOD.replace("sdf", "nvme1n1"), 6, "device", "/dev/sdf to /dev/sdp"),
    "a relative mount point": (GOOD + 'mount = "data"\n', 7, "mount", "absolute path"),
    "an unknown filesystem": (GOOD + 'mount = "/data"\nfilesystem = "ntfs"\n', 8, "filesystem", "ext4"),
    "an unknown volume type": (GOOD + 'size_gib = 8\ntype = "gp9"\n', 8, "type", "gp3"),
    "an unknown kind": (GOOD.replace("\n\n", '\nkind = "trio"\n\n', 1), 3, "kind", '"pair"'),
    "a pair of one": (
        GOOD.replace("\n\n", '\nkind = "pair"\nmembers = ["i-0a"]\n\n', 1), 4, "members", "exactly two",
    ),
    "an address found two ways": (
        GOOD + '[[group.address]]\nallocation_id = "eipalloc-0a"\ntag = { key = "a", value = "b" }\n',
        9, "tag", "allocation_id",
    ),
    "an address found no way": (GOOD + "[[group.address]]\n", 7, "address", "allocation_id"),
    "an empty list of groups": ("group = []\n", 1, "group", "at least one [[group]]"),
    "a poll interval of nothing": (GOOD + '[wake]\npoll_every = "1ms"\n', 8, "poll_every", '"1s"'),
    "a queue that is no URL": (GOOD + '[wake]\nsqs_queue_url = "events"\n', 8, "sqs_queue_url", "https://"),
    "no TOML at all": (GOOD + "name: data\n", 7, "", "TOML"),
}  # fmt: skip


@pytest.fixture
def rehome():
    """The binary, where no AWS answers: what is wrong is seen before anyone is asked."""

    def call(*words, **environment):
        # Port 9 discards, where anything listens at all.
        nowhere = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"}
        return run([REHOME, *words], env=aws.environment("http://127.0.0.1:9", **nowhere | environment))

    return call


def complaint(ended):
    """The one line that is said, and nothing is on stdout."""
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    return lines[0]


@pytest.mark.parametrize("text, line, key, allowed", WRONG.values(), ids=WRONG.keys())
def test_a_bad_configuration_is_blamed_by_file_line_and_key(rehome, tmp_path, text, line, key, allowed):
    file = tmp_path / "rehome.toml"
    file.write_text(text)
    said = complaint(rehome("bootstrap", "--config", str(file)))
    assert f"{file}:{line}: " in said
    assert key in said.split(f"{file}:{line}: ")[1]
    assert allowed in said


def test_every_command_that_reads_a_configuration_refuses_a_bad_one(rehome, tmp_path):
    file = tmp_path / "rehome.toml"
    file.write_text("colour = 1\n")
    for command in (["bootstrap"], ["daemon"], ["plan"], ["status"]):
        said = complaint(rehome(*command, "--config", str(file)))
        assert f"{file}:1: colour" in said, command


def test_a_configuration_in_the_environment_is_blamed_by_its_variable(rehome):
    said = complaint(rehome("bootstrap", REHOME_CONFIG="[[group]]\nnmae = 1\n"))
    assert "$REHOME_CONFIG:2: " in said


def test_a_missing_file_is_named(rehome, tmp_path):
    said = complaint(rehome("bootstrap", "--config", str(tmp_path / "none.toml")))
    assert str(tmp_path / "none.toml") in said and "no such file" in said


def test_a_directory_is_no_configuration(rehome, tmp_path):
    assert "directory" in complaint(rehome("bootstrap", "--config", str(tmp_path)))


def test_bytes_that_are_no_text_are_refused(rehome, tmp_path):
    file = tmp_path / "rehome.toml"
    file.write_bytes(GOOD.encode() + b"# \xff\xfe\n")
    assert f"{file}:7: " in complaint(rehome("bootstrap", "--config", str(file)))


def test_no_configuration_at_all_says_where_one_goes(rehome):
    said = complaint(rehome("bootstrap"))
    assert "--config" in said and "$REHOME_CONFIG" in said


@pytest.mark.parametrize(
    "words",
    [
        ["--frobnicate"],
        ["bootstrap", "--frobnicate"],
        ["bootstrap", "--timeout", "soon"],
        ["frobnicate"],
        ["drill", "--scenario", "no-such-scenario"],
        ["drill", "--seed", "minus one"],
        ["region", "--listen", "nowhere"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_two_and_says_what_is_wrong(rehome, words):
    ended = rehome(*words)
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert not words or words[-1] in ended.stderr, ended.stderr


def test_help_names_every_command(rehome):
    ended = rehome("--help")
    assert ended.returncode == 0 and ended.stderr == ""
    for command in ("bootstrap", "daemon", "drill", "region", "status", "plan", "adopt"):
        assert re.search(rf"^ +{command}\b", ended.stdout, re.MULTILINE), command


def test_each_command_has_help(rehome):
    for command in ("bootstrap", "daemon", "drill", "region", "status", "plan"):
        ended = rehome(command, "--help")
        assert ended.returncode == 0, command
        assert f"rehome {command}" in ended.stdout


def test_the_version_is_that_of_the_package(rehome):
    ended = rehome("--version")
    assert ended.returncode == 0
    assert re.fullmatch(r"rehome \d+\.\d+\.\d+\n", ended.stdout)
