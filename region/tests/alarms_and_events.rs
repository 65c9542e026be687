//! Alarms notice, events arrive, queues keep them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod group;

use common::World;
use group::{hooked, plain, reaches, serving};
use rehome_region::{QueueSettings, Request, Settings};
use serde_json::{Value, json};

/// A call in AWS JSON: the status and the answer.
fn json_call(world: &mut World, target: &str, input: &Value) -> (u16, Value) {
    let request = Request {
        method: "POST".to_owned(),
        host: "sqs.us-east-1.amazonaws.com".to_owned(),
        path: "/".to_owned(),
        headers: [("x-amz-target".to_owned(), target.to_owned())].into(),
        body: input.to_string().into_bytes(),
        ..Request::default()
    };
    let response = world.region.handle("me", &request, world.now);
    (
        response.status,
        serde_json::from_slice(&response.body).unwrap(),
    )
}

fn alarm_on(world: &mut World, instance: &str, extra: &Value) {
    let mut input = json!({
        "AlarmName": "status", "Namespace": "AWS/EC2", "MetricName": "StatusCheckFailed", "Statistic": "Maximum",
        "Dimensions": [{"Name": "InstanceId", "Value": instance}], "Period": 60, "EvaluationPeriods": 1,
        "Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    });
    let members = extra.as_object().unwrap().clone();
    input.as_object_mut().unwrap().extend(members);
    let (status, answer) = json_call(
        world,
        "GraniteServiceVersion20100801.PutMetricAlarm",
        &input,
    );
    assert_eq!(status, 200, "{answer}");
}

fn state(world: &mut World, name: &str) -> String {
    let types = json!(["MetricAlarm", "CompositeAlarm"]);
    let input = json!({"AlarmNames": [name], "AlarmTypes": types});
    let (_, answer) = json_call(
        world,
        "GraniteServiceVersion20100801.DescribeAlarms",
        &input,
    );
    let found = ["MetricAlarms", "CompositeAlarms"]
        .iter()
        .find_map(|kind| answer[*kind].get(0));
    let state = found.and_then(|alarm| alarm["StateValue"].as_str());
    state.unwrap_or_default().to_owned()
}

/// Everything in the queue, taken out.
fn events(world: &mut World) -> Vec<Value> {
    let queue = "https://sqs.us-east-1.amazonaws.com/123456789012/events";
    let mut events = Vec::new();
    loop {
        let input = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
        let (_, answer) = json_call(world, "AmazonSQS.ReceiveMessage", &input);
        let Some(messages) = answer["Messages"].as_array() else {
            return events;
        };
        for message in messages {
            events.push(serde_json::from_str(message["Body"].as_str().unwrap()).unwrap());
            let delete = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
            assert_eq!(json_call(world, "AmazonSQS.DeleteMessage", &delete).0, 200);
        }
    }
}

fn of_type<'a>(events: &'a [Value], detail_type: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["detail-type"] == detail_type)
        .collect()
}

#[test]
fn an_alarm_on_a_crashed_instance_goes_off_after_a_minute_or_so() {
    let mut world = World::new();
    let one = serving(&mut world, plain("db"));
    alarm_on(&mut world, &one, &json!({}));
    assert_eq!(state(&mut world, "status"), "INSUFFICIENT_DATA");
    world.wait(300.0);
    assert_eq!(state(&mut world, "status"), "OK");
    events(&mut world);
    world.region.crash_guest(&one, world.now);
    let mut seconds = 0;
    while state(&mut world, "status") != "ALARM" {
        world.wait(1.0);
        seconds += 1;
    }
    assert!((30..=180).contains(&seconds), "{seconds} s");
    world.wait(10.0);
    let events = events(&mut world);
    let change = of_type(&events, "CloudWatch Alarm State Change")[0];
    assert_eq!(change["detail"]["state"]["value"], "ALARM");
    assert_eq!(change["detail"]["previousState"]["value"], "OK");
    let metric = &change["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"];
    assert_eq!(metric["dimensions"]["InstanceId"], one.as_str());
    assert!(
        change["detail"]["state"]["timestamp"]
            .as_str()
            .unwrap()
            .ends_with("+0000")
    );
}

#[test]
fn a_dark_zone_sets_off_its_alarms_and_missing_data_is_treated_as_configured() {
    let mut world = World::new();
    let one = world
        .region
        .run_instance("us-east-1a", None, [].into(), world.now);
    world.wait(60.0);
    alarm_on(
        &mut world,
        &one,
        &json!({"TreatMissingData": "notBreaching"}),
    );
    world.wait(300.0);
    world.region.zone_down("us-east-1a", world.now);
    world.wait(300.0);
    assert_eq!(state(&mut world, "status"), "ALARM");
    world.region.zone_up("us-east-1a", world.now);
    world.region.kill_instance(&one, world.now);
    world.wait(300.0);
    assert_eq!(state(&mut world, "status"), "OK");
}

#[test]
fn a_state_that_was_set_by_hand_lasts_until_the_next_evaluation() {
    let mut world = World::new();
    let one = serving(&mut world, plain("db"));
    alarm_on(&mut world, &one, &json!({}));
    let rule = json!({"AlarmName": "any", "AlarmRule": "ALARM(status)"});
    assert_eq!(
        json_call(
            &mut world,
            "GraniteServiceVersion20100801.PutCompositeAlarm",
            &rule
        )
        .0,
        200
    );
    world.wait(300.0);
    let set = json!({"AlarmName": "status", "StateValue": "ALARM", "StateReason": "a rehearsal"});
    json_call(
        &mut world,
        "GraniteServiceVersion20100801.SetAlarmState",
        &set,
    );
    assert_eq!(state(&mut world, "status"), "ALARM");
    assert_eq!(state(&mut world, "any"), "ALARM");
    world.wait(300.0);
    assert_eq!(state(&mut world, "status"), "OK");
    assert_eq!(state(&mut world, "any"), "OK");
}

#[test]
fn lifecycle_actions_are_told_with_their_token() {
    let mut world = World::new();
    world.region.create_group(hooked("db"), world.now);
    let one = reaches(&mut world, "db", "Pending:Wait", "");
    world.wait(20.0);
    let events = events(&mut world);
    let action = of_type(&events, "EC2 Instance-launch Lifecycle Action")[0];
    assert_eq!(action["source"], "aws.autoscaling");
    assert_eq!(action["detail"]["EC2InstanceId"], one.as_str());
    assert_eq!(
        action["detail"]["LifecycleTransition"],
        "autoscaling:EC2_INSTANCE_LAUNCHING"
    );
    assert_eq!(action["detail"]["Origin"], "EC2");
    let token = world.region.truth().groups["db"].members[&one].actions[0]
        .token
        .clone();
    assert_eq!(action["detail"]["LifecycleActionToken"], token);
    let states = of_type(&events, "EC2 Instance State-change Notification");
    assert_eq!(states.last().unwrap()["detail"]["state"], "running");
}

#[test]
fn a_hook_can_tell_a_queue_directly() {
    let mut world = World::new();
    assert_eq!(
        json_call(
            &mut world,
            "AmazonSQS.CreateQueue",
            &json!({"QueueName": "hooks"})
        )
        .0,
        200
    );
    world.region.create_group(hooked("db"), world.now);
    let parameters = [
        ("AutoScalingGroupName", "db"),
        ("LifecycleHookName", "launch"),
        (
            "NotificationTargetARN",
            "arn:aws:sqs:us-east-1:123456789012:hooks",
        ),
    ];
    group::ask(&mut world, "PutLifecycleHook", &parameters).unwrap();
    let one = reaches(&mut world, "db", "Pending:Wait", "");
    world.wait(20.0);
    let input = json!({"QueueUrl": "http://anywhere/1/hooks", "MaxNumberOfMessages": 10});
    let (_, answer) = json_call(&mut world, "AmazonSQS.ReceiveMessage", &input);
    let body = |at: usize| -> Value {
        serde_json::from_str(answer["Messages"][at]["Body"].as_str().unwrap()).unwrap()
    };
    assert_eq!(body(0)["Event"], "autoscaling:TEST_NOTIFICATION");
    assert_eq!(body(1)["EC2InstanceId"], one.as_str());
    assert_eq!(body(1)["Service"], "AWS Auto Scaling");
}

#[test]
fn events_are_lost_and_doubled_if_the_settings_say_so() {
    let count = |queue: QueueSettings| {
        let mut world = World::with(Settings {
            queue,
            ..Settings::default()
        });
        serving(&mut world, plain("db"));
        world.wait(60.0);
        events(&mut world).len()
    };
    let orderly = count(QueueSettings::default());
    assert!(orderly >= 3);
    let doubled = QueueSettings {
        duplicate: 1.0,
        ..QueueSettings::default()
    };
    assert_eq!(count(doubled), 2 * orderly);
    let lost = QueueSettings {
        loss: 1.0,
        ..QueueSettings::default()
    };
    assert_eq!(count(lost), 0);
}

#[test]
fn no_bytes_make_any_service_fall_over() {
    let mut world = World::new();
    let mut seed = 7_u64;
    let mut next = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as u8
    };
    let targets = [
        "AmazonSQS.ReceiveMessage",
        "AmazonSQS.SendMessageBatch",
        "GraniteServiceVersion20100801.PutMetricAlarm",
    ];
    let paths = [
        "/",
        "/service/GraniteServiceVersion20100801/operation/PutMetricData",
        "/latest/meta-data/tags/instance/",
    ];
    for round in 0..2_000_usize {
        let mut request = Request {
            method: "POST".to_owned(),
            path: paths[round % 3].to_owned(),
            body: (0..round % 64).map(|_| next()).collect(),
            ..Request::default()
        };
        if round % 2 == 0 {
            request
                .headers
                .insert("x-amz-target".to_owned(), targets[round / 2 % 3].to_owned());
        }
        let status = world.region.handle("me", &request, world.now).status;
        assert!((200..500).contains(&status), "{request:?}: {status}");
    }
}
