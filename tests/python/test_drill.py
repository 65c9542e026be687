"""What other programs rely on when they call `rehome drill`: its exit code and
the fields of its JSON."""

import json

import pytest
from support import aws
from support.process import REHOME, run

FIELDS = {
    "scenario": str,
    "seed": int,
    "settled": bool,
    "rto_seconds": (int, float),
    "critical_path_seconds": (int, float),
    "data_loss_seconds": (int, float),
    "api_calls": dict,
    "promises": list,
    "timeline": list,
}


def drill(*words):
    # No AWS is asked, whatever the environment says.
    return run([REHOME, "drill", *words], env=aws.environment("http://127.0.0.1:9"))


@pytest.mark.parametrize("scenario", ["cross-zone", "same-zone", "multi-volume", "hard-kill", "no-agent"])
def test_a_drill_is_one_object_that_says_it_all(scenario):
    ended = drill("--scenario", scenario, "--seed", "3", "--json")
    assert ended.returncode == 0, ended.stderr
    [line] = ended.stdout.splitlines()
    told = json.loads(line)
    for field, kind in FIELDS.items():
        assert isinstance(told[field], kind), field
    assert (told["scenario"], told["seed"], told["settled"]) == (scenario, 3, True)
    assert told["rto_seconds"] >= told["critical_path_seconds"] > 0
    assert len(told["promises"]) == 12
    assert all(p["held"] is True and p["name"] and p["detail"] for p in told["promises"])
    assert all(isinstance(count, int) and count > 0 for count in told["api_calls"].values())
    times = [event["at_seconds"] for event in told["timeline"]]
    assert times == sorted(times)
    assert all(event["who"] and event["what"] for event in told["timeline"])


def test_the_same_seed_tells_the_same_story_and_another_tells_another():
    same = [drill("--scenario", "cross-zone", "--seed", seed, "--json").stdout for seed in ("5", "5", "6")]
    assert same[0] == same[1] != same[2]


def test_a_page_is_written_where_it_is_wanted(tmp_path):
    page = tmp_path / "drill.html"
    ended = drill("--scenario", "same-zone", "--html", str(page))
    assert ended.returncode == 0, ended.stderr
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")
    ended = drill("--scenario", "same-zone", "--html", str(tmp_path / "none" / "drill.html"))
    assert ended.returncode == 1 and "drill.html" in ended.stderr


def test_a_configuration_of_ones_own_is_rehearsed(tmp_path):
    file = tmp_path / "rehome.toml"
    file.write_text(
        '[[group]]\nname = "wiki"\n'
        '[[group.volume]]\nname = "pages"\ndevice = "/dev/sdg"\nmount = "/srv/wiki"\nsize_gib = 8\n'
        '[[group.address]]\ntag = { key = "service", value = "wiki" }\n'
    )
    ended = drill("--scenario", "cross-zone", "--config", str(file), "--json")
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert "pages" in ended.stdout
