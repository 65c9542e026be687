//! A function on the emulated region, in virtual time: how are long waits
//! divided, what do they cost, and how many messages does a storm leave?

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rehome_region::{
    Delay, FaultRule, GroupSetup, HookSetup, Region, Request, Settings, Spread, Strike, What,
};
use serde_json::{Value, json};

use super::function::Function;
use crate::aws::Aws;
use crate::drill::connector::Shared;
use crate::drill::roles;
use crate::drill::stage::Stage;
use crate::drill::time::VirtualTime;
use crate::iam::{self, Place, Scope, Statement};
use crate::spec::{self, Config};

const CONFIG: &str = r#"
[[group]]
name  = "orders-db"
agent = false

[[group.volume]]
name       = "data"
device     = "/dev/sdf"
mount      = "/srv/orders"
filesystem = "ext4"
size_gib   = 100
"#;
const QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:events";
/// As long as Lambda lets a function run.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// The queue, and whoever hands its messages to a function.
struct Mapping {
    stage: Rc<Stage>,
    aws: Aws,
    url: String,
    environments: Vec<Rc<Function>>,
    invocations: Vec<SignedDuration>,
    most_received: u32,
}

impl Mapping {
    async fn new(environments: usize, heartbeat_s: u64, upload: Duration) -> Self {
        let time = VirtualTime::start();
        let mut settings = Settings::default();
        let millis = u64::try_from(upload.as_millis()).unwrap();
        settings
            .latency
            .set(Delay::SnapshotUpload, Spread::exactly(millis));
        let mut region = Region::new(settings, time.now());
        region.create_group(group(heartbeat_s), time.now());
        let config = config();
        for keys in ["function", "mapping"] {
            roles::permit(&mut region, &config, Place::Lambda, keys, None);
        }
        let stage = Stage::new(
            Shared::new(region, time),
            config.groups[0].clone(),
            SignedDuration::from_secs(15),
        );
        tokio::task::spawn_local(Rc::clone(&stage).play_region());
        let aws = |who| stage.shared.aws(who);
        let function = || {
            let aws = aws("function");
            Rc::new(Function::new(aws, config.clone(), time.clock()))
        };
        let environments = (0..environments).map(|_| function()).collect();
        let mapping = aws("mapping");
        let url = mapping.queue_url_of(QUEUE).await.unwrap();
        Self {
            aws: mapping,
            url,
            environments,
            stage,
            invocations: Vec::new(),
            most_received: 0,
        }
    }

    fn now(&self) -> Timestamp {
        self.stage.now()
    }

    /// One batch to the next environment; or a second passes.
    async fn turn(&mut self) {
        let mut messages = self.aws.receive(&self.url, Duration::ZERO).await.unwrap();
        if messages.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            return;
        }
        let records: Vec<_> = messages
            .iter()
            .map(|message| {
                json!({
                    "messageId": message.id,
                    "body": message.body,
                    "eventSource": "aws:sqs",
                    "eventSourceARN": QUEUE,
                    "attributes": { "ApproximateReceiveCount": message.receives.to_string() },
                })
            })
            .collect();
        let most = messages.iter().map(|message| message.receives).max();
        self.most_received = self.most_received.max(most.unwrap_or_default());
        let payload = json!({ "Records": records }).to_string();
        let answer = self.invoke(payload).await;
        let failed = answer["batchItemFailures"].as_array().unwrap().clone();
        messages.retain(|message| !failed.iter().any(|id| id["itemIdentifier"] == *message.id));
        self.aws.acknowledge(&self.url, &messages).await.unwrap();
    }

    /// By each environment in its turn.
    async fn invoke(&mut self, payload: String) -> Value {
        self.invoke_within(LONGEST, payload).await.unwrap()
    }

    async fn invoke_within(
        &mut self,
        whole: SignedDuration,
        payload: String,
    ) -> Result<Value, String> {
        let began = self.now();
        let next = self.invocations.len() % self.environments.len();
        let function = Rc::clone(&self.environments[next]);
        let invoked = tokio::task::spawn_local(async move {
            function.invoke(payload.as_bytes(), began + whole).await
        });
        let answer = invoked.await.unwrap();
        let took = self.now().duration_since(began);
        assert!(took < whole, "Lambda would have ended it after {whole:#}");
        self.invocations.push(took);
        answer
    }

    /// From now on no answer comes to the function, whatever it asks.
    fn go_silent(&self) {
        let mut region = self.stage.shared.lock();
        region.settings_mut().faults.rules.push(FaultRule {
            action: "*".to_owned(),
            caller: Some("function".to_owned()),
            probability: 1.0,
            strike: Strike::LostBefore,
        });
    }

    /// Until a member serves and nothing is left to do.
    async fn settle(&mut self) -> String {
        self.until(minutes(15), |it| it.serves().is_some()).await;
        self.until(minutes(30), |it| it.waiting() == 0).await;
        assert_eq!(roles::refusal(&self.stage.shared.lock()), None);
        self.serves().unwrap()
    }

    /// The instance fails, and the next one comes up in another zone.
    fn fail(&self, instance: &str) {
        let mut region = self.stage.shared.lock();
        region.set_next_zone("orders-db", Some("us-east-1b"));
        region.fail_instance(instance, self.now());
        drop(region);
        self.stage.shared.ring();
    }

    async fn until(&mut self, within: SignedDuration, mut is_so: impl FnMut(&Self) -> bool) {
        let end = self.now() + within;
        while !is_so(self) {
            assert!(self.now() < end, "not within {within:#}");
            self.turn().await;
        }
    }

    /// The member in service, with the active volume attached to it.
    fn serves(&self) -> Option<String> {
        let truth = self.stage.shared.lock().truth();
        let members = &truth.groups["orders-db"].members;
        let mut ready = members
            .iter()
            .filter(|(_, member)| member.lifecycle.as_str() == "InService");
        let (id, _) = ready.next()?;
        let has_data = truth.volumes.values().any(|volume| {
            volume.tags.get("rehome:state").map(String::as_str) == Some("active")
                && volume.attachment.iter().any(|a| a.instance == *id)
        });
        has_data.then(|| id.clone())
    }

    fn snapshots(&self) -> usize {
        self.stage.shared.lock().truth().snapshots.len()
    }

    fn calls(&self, wanted: &str) -> usize {
        let region = self.stage.shared.lock();
        let entries = region.record().entries().iter();
        let calls = entries.filter(|entry| {
            entry.who == "function"
                && matches!(&entry.what, What::Call { action, .. } if action == wanted)
        });
        calls.count()
    }

    /// Messages in the queue, whether they can be seen yet or not.
    fn waiting(&self) -> usize {
        let names =
            ["", "Delayed", "NotVisible"].map(|kind| format!("ApproximateNumberOfMessages{kind}"));
        let body = json!({ "QueueUrl": self.url, "AttributeNames": names });
        let target = "AmazonSQS.GetQueueAttributes".to_owned();
        // Lambda looks how much there is, under the function's role.
        let signed = "AWS4-HMAC-SHA256 Credential=mapping/".to_owned();
        let request = Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            headers: [
                ("x-amz-target".to_owned(), target),
                ("authorization".to_owned(), signed),
            ]
            .into(),
            body: body.to_string().into_bytes(),
            ..Request::default()
        };
        let mut region = self.stage.shared.lock();
        let response = region.handle("test", &request, self.now());
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        let counts = answer["Attributes"].as_object().unwrap().values();
        counts
            .map(|count| count.as_str().unwrap().parse::<usize>().unwrap())
            .sum()
    }
}

fn config() -> Config {
    spec::parse("test", CONFIG).unwrap()
}

fn group(heartbeat_s: u64) -> GroupSetup {
    GroupSetup {
        name: "orders-db".to_owned(),
        min: 1,
        max: 1,
        desired: 1,
        hooks: vec![
            HookSetup::launching(heartbeat_s),
            HookSetup::terminating(heartbeat_s),
        ],
        ..GroupSetup::default()
    }
}

/// Plays a test on a paused clock.
fn on_stage(play: impl Future<Output = ()>) {
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, Box::pin(play));
}

const fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// All that a function needs beyond a controller is in four permissions, each
/// of which a move uses.
#[test]
fn a_function_needs_little_more_than_a_controller() {
    let scope = Scope::new(None, None, None);
    let of = |place| iam::policy(&config(), place, &scope).unwrap().statement;
    let controllers = of(Place::Controller);
    let more = of(Place::Lambda)
        .into_iter()
        .filter(|of| !controllers.contains(of));
    let more: Vec<Statement> = more.collect();
    on_stage(async move {
        // Longer than an invocation may last, so that it goes on later.
        let upload = Duration::from_secs(40 * 60);
        let mut mapping = Mapping::new(1, 300, upload).await;
        let first = mapping.settle().await;
        mapping.fail(&first);
        let is_over = |it: &Mapping| it.serves().is_some_and(|id| id != first);
        mapping.until(minutes(60), is_over).await;
        assert_eq!(roles::refusal(&mapping.stage.shared.lock()), None);
        let used = roles::used(&mapping.stage.shared.lock());
        for of in &more {
            for action in of.action.iter() {
                let is_used = used.iter().any(|u| u.sid == of.sid && u.action == action);
                // What it shares with a controller the drills use up.
                let shared = controllers.iter().any(|other| {
                    other.sid == of.sid && other.action.iter().any(|known| known == action)
                });
                assert!(is_used || shared, "{} allows {action} in vain", of.sid);
            }
        }
        let sids: Vec<&str> = more.iter().map(|of| of.sid.as_str()).collect();
        assert_eq!(sids, ["LookAround", "LambdaReadsQueue", "GoOnLater"]);
    });
}

#[test]
fn a_long_upload_is_waited_for_by_messages() {
    on_stage(async {
        let upload = Duration::from_secs(40 * 60);
        let mut mapping = Mapping::new(1, 300, upload).await;
        let first = mapping.settle().await;
        let before = mapping.invocations.len();
        let failed_at = mapping.now();
        mapping.fail(&first);
        let is_over = |it: &Mapping| it.serves().is_some_and(|id| id != first);
        mapping.until(minutes(60), is_over).await;
        let took = mapping.now().duration_since(failed_at);
        mapping.settle().await;

        let runs = &mapping.invocations[before..];
        let paid: SignedDuration = runs.iter().sum();
        // The upload itself, and little more; most of it was not paid for.
        assert!(took < minutes(43), "{took:#}");
        assert!(paid < minutes(5), "{paid:#}");
        assert!(runs.iter().all(|run| *run < minutes(3)), "{runs:?}");
        assert!(runs.len() < 60, "{}", runs.len());
        assert_eq!(mapping.most_received, 1);
        // The heir's launch action outlived its time-out many times over.
        assert!(mapping.calls("RecordLifecycleActionHeartbeat") > 40 * 60 / 300);
    });
}

#[test]
fn a_hook_with_little_patience_is_kept_open() {
    on_stage(async {
        // The shortest time-out there is: too short to go away meanwhile.
        let mut mapping = Mapping::new(1, 30, Duration::from_secs(20 * 60)).await;
        let first = mapping.settle().await;
        mapping.fail(&first);
        let is_over = |it: &Mapping| it.serves().is_some_and(|id| id != first);
        mapping.until(minutes(30), is_over).await;
        assert!(mapping.invocations.iter().all(|run| *run < LONGEST));
        assert_eq!(mapping.most_received, 1);
        // No launch was given up for want of a heartbeat.
        let truth = mapping.stage.shared.lock().truth();
        assert_eq!(truth.instances.len(), 2);
    });
}

#[test]
fn a_storm_of_events_leaves_few_messages() {
    on_stage(async {
        let mut mapping = Mapping::new(3, 3600, Duration::from_secs(3600)).await;
        let first = mapping.settle().await;
        mapping.fail(&first);
        mapping.until(minutes(10), |it| it.snapshots() == 1).await;

        // One after the other, each of them in an invocation of its own.
        let (began, sent) = (mapping.now(), mapping.calls("SendMessage"));
        let mut most = 0;
        let event = json!({ "rehome": { "group": "orders-db" } }).to_string();
        for _ in 0..200 {
            let sent = mapping.aws.send_later(&mapping.url, &event, Duration::ZERO);
            sent.await.unwrap();
            mapping.turn().await;
            most = most.max(mapping.waiting());
        }
        // Three environments: a message each, and one that an earlier one overtook…
        assert!(most <= 2 * 3, "{most}");
        // … and no more of them in that time than without a storm.
        let lasted = mapping.now().duration_since(began).as_secs();
        let sent = mapping.calls("SendMessage") - sent;
        assert!(
            sent <= 3 * usize::try_from(1 + lasted / 20).unwrap(),
            "{sent}"
        );

        let is_over = |it: &Mapping| it.serves().is_some_and(|id| id != first);
        mapping.until(minutes(90), is_over).await;
        mapping.settle().await;
    });
}

#[test]
fn news_of_a_group_that_looks_settled_is_looked_into_twice_more() {
    on_stage(async {
        let mut mapping = Mapping::new(1, 300, Duration::from_secs(60)).await;
        let instance = mapping.settle().await;
        let news = json!({
            "source": "aws.autoscaling",
            "detail-type": "EC2 Instance-terminate Lifecycle Action",
            "detail": {
                "AutoScalingGroupName": "orders-db",
                "EC2InstanceId": instance,
                "LifecycleHookName": "terminate",
                "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            },
        })
        .to_string();
        let sent = mapping.aws.send_later(&mapping.url, &news, Duration::ZERO);
        sent.await.unwrap();
        mapping.turn().await;
        let told = mapping.now();
        // The describe may have lagged behind, by a moment or for long.
        assert_eq!(mapping.waiting(), 2);
        for (nearest, farthest) in [(25, 35), (100, 125)] {
            let before = mapping.invocations.len();
            let is_back = |it: &Mapping| it.invocations.len() > before;
            mapping.until(minutes(3), is_back).await;
            let after = mapping.now().duration_since(told).as_secs();
            assert!((nearest..farthest).contains(&after), "{after} s");
        }
        // It looks twice more, and no more than that.
        assert_eq!(mapping.waiting(), 0);
    });
}

#[test]
fn a_schedule_keeps_house() {
    on_stage(async {
        let mut mapping = Mapping::new(1, 300, Duration::from_secs(60)).await;
        mapping.settle().await;
        assert_eq!(mapping.snapshots(), 0);
        tokio::time::sleep(Duration::from_secs(16 * 60)).await;
        let schedule = json!({ "source": "aws.events", "detail-type": "Scheduled Event" });
        mapping.invoke(schedule.to_string()).await;
        // By default one is due every quarter of an hour.
        mapping.until(minutes(1), |it| it.snapshots() == 1).await;
    });
}

#[test]
fn without_an_answer_of_aws_it_answers_in_time_all_the_same() {
    on_stage(async {
        let mut mapping = Mapping::new(1, 300, Duration::from_secs(60)).await;
        mapping.settle().await;
        mapping.go_silent();
        let follow_up = json!({ "rehome": { "group": "orders-db" } });
        // Whose it is only AWS can say.
        let stopped = json!({
            "source": "aws.ec2",
            "detail-type": "EC2 Instance State-change Notification",
            "detail": { "instance-id": "i-0123456789abcdef0", "state": "stopped" },
        });
        let records: Vec<_> = [&follow_up, &stopped]
            .iter()
            .enumerate()
            .map(|(n, body)| {
                json!({
                    "messageId": format!("message-{n}"),
                    "body": body.to_string(),
                    "eventSource": "aws:sqs",
                    "eventSourceARN": QUEUE,
                })
            })
            .collect();
        let batch = json!({ "Records": records }).to_string();
        for seconds in [3, 6, 60, 900] {
            let whole = SignedDuration::from_secs(seconds);
            let answer = mapping.invoke_within(whole, batch.clone()).await.unwrap();
            let again = answer["batchItemFailures"].as_array().unwrap();
            assert_eq!(again.len(), 2, "{answer}");
            let direct = mapping.invoke_within(whole, follow_up.to_string()).await;
            assert!(direct.is_err(), "{direct:?}");
            // It has used its time for it.
            let took = *mapping.invocations.last().unwrap();
            assert!(took > whole / 2, "{took:#} of {whole:#}");
        }
    });
}
