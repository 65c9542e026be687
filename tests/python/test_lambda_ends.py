"""How a function ends, and what becomes of an event that could not be served:
wrong configurations, a runtime API that goes away, an AWS that is down."""

import signal

import pytest
from support.aws import environment
from support.group import Group
from support.process import REHOME, run
from support.runtime_api import Function, Mapping, batch
from support.world import allocate_address

GROUP = """
[[group]]
name  = "{0}"
agent = false

[[group.address]]
tag = {{ key = "service", value = "{0}" }}
"""
CONFIG = GROUP.format("orders-db")
NOWHERE = "http://127.0.0.1:9"


def follow_up(group):
    return {"rehome": {"group": group}}


def stopped(instance):
    return {
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "detail": {"instance-id": instance, "state": "stopped"},
    }


def test_a_wrong_configuration_is_reported_to_lambda(tmp_path):
    with Function(tmp_path, CONFIG + "colour = 7\n", NOWHERE) as function:
        code, said = function.ended()
        [(kind, error)] = function.api.init_errors
    assert code == 2 and kind == error["errorType"] == "rehome.Init"
    assert "colour" in error["errorMessage"]
    assert f"rehome: {error['errorMessage']}\n" in said
    assert not function.api.asked.is_set()


def test_a_missing_region_is_reported_to_lambda(tmp_path):
    with Function(tmp_path, CONFIG, AWS_REGION=None, AWS_DEFAULT_REGION=None) as function:
        code, said = function.ended()
        [(_, error)] = function.api.init_errors
    assert code == 1 and "set AWS_REGION" in error["errorMessage"] and error["errorMessage"] in said


def test_outside_of_lambda_it_says_where_it_belongs():
    ended = run([REHOME, "lambda"], environment(REHOME_CONFIG=CONFIG))
    assert ended.returncode == 2
    assert "AWS_LAMBDA_RUNTIME_API" in ended.stderr and "rehome daemon" in ended.stderr


@pytest.mark.parametrize("missing", ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
def test_half_a_lambda_is_none(tmp_path, missing):
    with Function(tmp_path, CONFIG, NOWHERE, **{missing: None}) as function:
        code, said = function.ended()
    assert code == 2 and missing in said


def test_a_file_with_the_configuration_will_do(tmp_path):
    file = tmp_path / "rehome.toml"
    file.write_text(CONFIG)
    words = ["lambda", "--config", str(file)]
    with Function(tmp_path, None, NOWHERE, words, REHOME_CONFIG=None) as function:
        answer = function.invoke({"hello": "world"}).answer
    assert answer["unheard"] == 1


def test_a_runtime_api_that_goes_away_ends_the_process(tmp_path):
    with Function(tmp_path, CONFIG, NOWHERE) as function:
        assert function.api.asked.wait(30)
        function.api.go_away()
        code, said = function.ended()
    assert code == 1 and "the Lambda runtime API is gone" in said


def test_a_runtime_api_that_takes_no_answer_ends_the_process(tmp_path):
    with Function(tmp_path, CONFIG, NOWHERE) as function:
        function.api.takes_answers = False
        function.send({"hello": "world"})
        code, said = function.ended()
    assert code == 1 and "the Lambda runtime API is gone" in said


def test_a_runtime_api_that_answers_nonsense_ends_the_process(tmp_path):
    function = Function(tmp_path, CONFIG, NOWHERE)
    function.api.keeps_its_contract = False
    with function:
        code, said = function.ended()
    assert code == 1 and "rehome: cannot go on under this Lambda runtime API" in said


def test_a_deadline_that_is_over_is_none(region, tmp_path):
    """Some test tools name one in 1970."""
    allocate_address(region, service="orders-db")
    Group(region, hooks=[]).in_state("InService")
    with Function(tmp_path, CONFIG, region.url) as function:
        assert function.invoke(follow_up("orders-db"), seconds=-1e9).answer["settled"] == 1


def test_it_ends_when_lambda_says_so(tmp_path):
    with Function(tmp_path, CONFIG, NOWHERE) as function:
        assert function.api.asked.wait(30)
        function.process.send_signal(signal.SIGTERM)
        code, said = function.ended()
    assert code == 0 and "ends as it was told" in said


def test_only_the_messages_of_a_failed_group_come_again(region, tmp_path):
    """One group has everything, the other has no address to move, and nothing
    can be left in the queue that the messages say they are from."""
    allocate_address(region, service="orders-db")
    orders = Group(region, name="orders-db", hooks=[]).in_state("InService")
    ledger = Group(region, name="ledger-db", hooks=[]).in_state("InService")
    bodies = [
        follow_up("orders-db"),
        follow_up("ledger-db"),
        "{",
        follow_up("another"),
        stopped(orders),
        stopped(ledger),
        stopped("i-0123456789abcdef0"),
    ]
    with Function(tmp_path, CONFIG + GROUP.format("ledger-db"), region.url) as function:
        arn = "arn:aws:sqs:us-east-1:123456789012:not-there"
        first = function.invoke(batch(bodies, arn))
        failed = first.answer["batchItemFailures"]
        assert [item["itemIdentifier"] for item in failed] == ["message-1", "message-5"]
        arn = Mapping(region, function).arn
        second = function.invoke(batch(bodies, arn))
        assert second.answer == {"batchItemFailures": []}
        summaries = [function.summary_of(invocation) for invocation in (first, second)]
    assert [summary["failed"] for summary in summaries] == [1, 0]
    assert [summary["follow_ups"] for summary in summaries] == [0, 1]


def test_when_aws_is_down_the_messages_come_again(tmp_path):
    """Whose an instance is only AWS can say."""
    arn = "arn:aws:sqs:us-east-1:123456789012:events"
    with Function(tmp_path, CONFIG, NOWHERE) as function:
        invocation = function.invoke(batch([stopped("i-0123456789abcdef0"), "{", follow_up("orders-db")], arn), seconds=6)
        failed = invocation.answer["batchItemFailures"]
        assert [item["itemIdentifier"] for item in failed] == ["message-0", "message-2"]
        assert function.process.poll() is None


def test_without_a_queue_an_unsettled_group_fails_the_invocation(region, tmp_path):
    Group(region, hooks=[], MinSize=0, DesiredCapacity=0)
    with Function(tmp_path, CONFIG, region.url) as function:
        invocation = function.invoke(follow_up("orders-db"), seconds=6)
        assert invocation.answer is None
        assert "orders-db is not settled" in invocation.error["errorMessage"]
        assert "wake.sqs_queue_url" in invocation.error["errorMessage"]
        # A schedule comes again, and nothing is kept open here.
        schedule = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
        answer = function.invoke(schedule, seconds=6).answer
        assert (answer["awaited"], answer["failed"]) == (1, 0)


def test_a_queue_of_ones_own_carries_what_comes_directly(region, tmp_path):
    Group(region, hooks=[], MinSize=0, DesiredCapacity=0)
    with Function(tmp_path, CONFIG, region.url) as function:
        mapping = Mapping(region, function)
    with Function(tmp_path, f'{CONFIG}\n[wake]\nsqs_queue_url = "{mapping.url}"\n', region.url) as function:
        answers = [function.invoke(follow_up("orders-db"), seconds=30).answer for _ in range(3)]
    # The second and the third rely on what the first has left.
    assert [(answer["follow_ups"], answer["awaited"]) for answer in answers] == [(1, 0), (0, 1), (0, 1)]
    assert mapping.count("Delayed") == 1
