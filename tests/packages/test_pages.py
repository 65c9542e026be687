"""Do the manual pages and completions say what the command line does?"""

import gzip
import re
import subprocess

import pytest
from conftest import needs


@pytest.fixture
def inside(deb, tmp_path):
    subprocess.run(["dpkg-deb", "--extract", deb, tmp_path], check=True)
    return tmp_path


@pytest.fixture
def commands(program):
    said = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    listed = said.split("Commands:\n")[1].split("\n\n")[0]
    found = re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE)
    assert "bootstrap" in found
    return [name for name in found if name != "help"]


@needs("dpkg-deb")
def test_each_command_has_a_page_and_no_page_is_left_over(inside, commands):
    pages = {path.name: gzip.decompress(path.read_bytes()).decode() for path in (inside / "usr/share/man/man8").iterdir()}
    assert set(pages) == {"rehome.8.gz"} | {f"rehome-{name}.8.gz" for name in commands}
    for name in commands:
        assert f"rehome\\-{name}(8)".replace("-", "\\-").replace("\\\\-", "\\-") in pages["rehome.8.gz"], name
    assert "\\-\\-timeout" in pages["rehome-bootstrap.8.gz"] and "/etc/rehome.toml" in pages["rehome.8.gz"]


@needs("dpkg-deb", "man")
def test_man_has_nothing_to_complain_about(inside):
    for page in (inside / "usr/share/man/man8").iterdir():
        words = ["man", "--warnings", "--encoding=UTF-8", "--local-file", page]
        env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MAN_KEEP_FORMATTING": ""}
        ended = subprocess.run(words, check=True, capture_output=True, text=True, env=env)
        assert "NAME" in ended.stdout and ended.stderr == "", page.name


@needs("dpkg-deb", "bash")
def test_bash_completes_every_command(inside, commands):
    script = inside / "usr/share/bash-completion/completions/rehome"
    lines = f"source {script}; COMP_WORDS=(rehome ''); COMP_CWORD=1; _rehome rehome '' rehome; echo ${{COMPREPLY[@]}}"
    ended = subprocess.run(["bash", "--norc", "-c", lines], check=True, capture_output=True, text=True)
    assert set(commands) <= set(ended.stdout.split()) and ended.stderr == ""
    assert "freeze-guard" not in ended.stdout, "for rehome's own use"


@needs("dpkg-deb", "zsh")
def test_zsh_reads_its_completion(inside):
    folder = inside / "usr/share/zsh/vendor-completions"
    lines = f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -d {inside}/dump; print $_comps[rehome]"
    ended = subprocess.run(["zsh", "-f", "-c", lines], check=True, capture_output=True, text=True)
    assert ended.stdout.strip() == "_rehome"
    subprocess.run(["zsh", "-f", "-n", folder / "_rehome"], check=True)


@needs("dpkg-deb", "fish")
def test_fish_completes_every_command(inside, commands):
    script = inside / "usr/share/fish/vendor_completions.d/rehome.fish"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(inside), "LC_ALL": "C.UTF-8"}
    lines = f"source {script}; complete --do-complete 'rehome '"
    ended = subprocess.run(["fish", "--no-config", "-c", lines], check=True, capture_output=True, text=True, env=env)
    offered = {line.split("\t")[0] for line in ended.stdout.splitlines()}
    assert set(commands) <= offered
