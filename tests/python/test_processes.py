"""Real processes, for some seconds: a daemon that is killed again and again, one
that has somebody between it and AWS, and one that watches over many groups.

The long versions: `python -m support.kills` and `python -m support.soak`.
"""

import time

from support import kills, soak
from support.rogue import KINDS, Rogue


def test_a_daemon_that_is_killed_again_and_again_keeps_every_promise(tmp_path):
    killed, sentence, found = kills.run(tmp_path, seed=11, seconds=15)
    assert not found, found
    assert killed.has_suffered()
    # Somebody wrote to the volume, so that there was something to judge.
    assert sentence["terms"] > 1 and len(sentence["promises"]) == 12


def test_somebody_who_spoils_answers_spoils_no_data(tmp_path):
    rogue = Rogue(seed=12, share=0.2)
    killed, sentence, found = kills.run(tmp_path, seed=12, seconds=20, rogue=rogue)
    assert not found, found
    assert killed.has_suffered(), rogue.kinds
    assert set(rogue.kinds) <= set(KINDS) and sentence["terms"] > 0


def test_a_daemon_over_many_groups_holds_no_more_and_no_more(tmp_path):
    began = time.monotonic()
    samples, incidents = soak.run(tmp_path, groups=50, seconds=40, seed=13)
    found = soak.figures(samples)
    assert incidents > 5 and samples, time.monotonic() - began
    # In so short a time noise is all there is: a leak of each look would show.
    # A group at work has connections of its own, and they end with its work.
    assert found["files"][1] < 400, found
    assert found["rss_kib"][1] < 150_000 and found["rss_kib_per_minute"] < 20_000, found
