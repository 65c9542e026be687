"""CloudWatch and SQS of the emulated region, as stock boto3 sees them."""

import json

from support.aws import until
from support.world import refused

ALARM = {
    "AlarmName": "orders-db-status",
    "Namespace": "AWS/EC2",
    "MetricName": "StatusCheckFailed",
    "Statistic": "Maximum",
    "Period": 60,
    "EvaluationPeriods": 2,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "Dimensions": [{"Name": "AutoScalingGroupName", "Value": "orders-db"}],
}


def alarms(region, **arguments):
    return region.cloudwatch.describe_alarms(**arguments)["MetricAlarms"]


def queue(region, name="events"):
    return region.sqs.get_queue_url(QueueName=name)["QueueUrl"]


def receive(region, url, **arguments):
    return region.sqs.receive_message(QueueUrl=url, **arguments).get("Messages", [])


def test_an_alarm_is_made_and_described(region):
    region.cloudwatch.put_metric_alarm(**ALARM)
    region.cloudwatch.put_metric_alarm(**ALARM | {"AlarmName": "another"})
    [alarm] = alarms(region, AlarmNames=["orders-db-status"])
    assert alarm["StateValue"] == "INSUFFICIENT_DATA"
    assert alarm["AlarmArn"].endswith(":alarm:orders-db-status")
    for key in ("Namespace", "MetricName", "Period", "EvaluationPeriods", "Threshold", "Dimensions"):
        assert alarm[key] == ALARM[key]
    assert [a["AlarmName"] for a in alarms(region, AlarmNamePrefix="an")] == ["another"]
    assert alarms(region, StateValue="ALARM") == []


def test_an_alarm_rings_when_it_is_told_to(region):
    region.cloudwatch.put_metric_alarm(**ALARM)
    [before] = alarms(region)
    region.cloudwatch.set_alarm_state(AlarmName="orders-db-status", StateValue="ALARM", StateReason="a test")
    [alarm] = alarms(region, StateValue="ALARM")
    assert (alarm["AlarmName"], alarm["StateReason"]) == ("orders-db-status", "a test")
    assert alarm["StateUpdatedTimestamp"] > before["StateUpdatedTimestamp"]

    def told():
        messages = receive(region, queue(region), MaxNumberOfMessages=10, WaitTimeSeconds=1)
        found = [json.loads(message["Body"]) for message in messages]
        return [event for event in found if event["detail-type"] == "CloudWatch Alarm State Change"]

    [event] = until(told, "the alarm in the queue")
    assert event["detail"]["alarmName"] == "orders-db-status"
    assert event["detail"]["state"]["value"] == "ALARM"


def test_an_alarm_that_does_not_exist_cannot_ring(region):
    refused(
        "ResourceNotFound",
        region.cloudwatch.set_alarm_state,
        AlarmName="none",
        StateValue="ALARM",
        StateReason="a test",
    )


def test_alarms_come_in_pages(region):
    for number in range(5):
        region.cloudwatch.put_metric_alarm(**ALARM | {"AlarmName": f"alarm-{number}"})
    pages = region.cloudwatch.get_paginator("describe_alarms")
    found = [page["MetricAlarms"] for page in pages.paginate(PaginationConfig={"PageSize": 2})]
    assert [[a["AlarmName"] for a in page] for page in found] == [
        ["alarm-0", "alarm-1"],
        ["alarm-2", "alarm-3"],
        ["alarm-4"],
    ]


def test_an_alarm_is_deleted(region):
    region.cloudwatch.put_metric_alarm(**ALARM)
    region.cloudwatch.delete_alarms(AlarmNames=["orders-db-status"])
    assert alarms(region) == []


def test_a_message_is_sent_received_and_deleted(region):
    url = region.sqs.create_queue(QueueName="mine")["QueueUrl"]
    assert queue(region, "mine") == url
    sent = region.sqs.send_message(QueueUrl=url, MessageBody='{"a": "<b>"}')
    [message] = receive(region, url, WaitTimeSeconds=1, AttributeNames=["All"])
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], '{"a": "<b>"}')
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    region.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert receive(region, url) == []


def test_a_message_that_is_not_deleted_comes_again(region):
    url = region.sqs.create_queue(QueueName="mine")["QueueUrl"]
    region.sqs.send_message(QueueUrl=url, MessageBody="again")
    [message] = receive(region, url, WaitTimeSeconds=1, VisibilityTimeout=600)
    assert receive(region, url) == [], "nobody else sees it meanwhile"
    region.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    [again] = receive(region, url, WaitTimeSeconds=1, AttributeNames=["ApproximateReceiveCount"])
    assert again["MessageId"] == message["MessageId"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_queue_that_does_not_exist_is_said_so(region):
    code = "AWS.SimpleQueueService.NonExistentQueue"
    refused(code, region.sqs.get_queue_url, QueueName="none")
    try:
        region.sqs.get_queue_url(QueueName="none")
    except region.sqs.exceptions.QueueDoesNotExist:
        return
    raise AssertionError("botocore did not know the error as its own")
