//! Who is this machine, and was it told to go? The instance metadata service
//! says, in its second version (IMDSv2).

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::imds::Client;
use aws_config::imds::client::error::{ErrorResponse, ImdsError};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::error::HostError;
use crate::ids::{InstanceId, Zone};

const CONNECT: Duration = Duration::from_secs(1);
/// One question with all its attempts.
const ANSWER: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 3;
/// An instance has one or two scheduled events at a time.
const MOST_PLANS: usize = 20;

const INSTANCE: &str = "/latest/meta-data/instance-id";
const ZONE: &str = "/latest/meta-data/placement/availability-zone";
const TARGET: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";
const SPOT: &str = "/latest/meta-data/spot/instance-action";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
const MAINTENANCE: &str = "/latest/meta-data/events/maintenance/scheduled";

/// Neither changes while the instance lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub instance: InstanceId,
    pub zone: Zone,
}

#[derive(Debug)]
pub(super) struct Imds {
    client: Client,
    identity: OnceCell<Identity>,
}

impl Imds {
    /// At `AWS_EC2_METADATA_SERVICE_ENDPOINT`, or where EC2 has it.
    pub(super) fn new() -> Self {
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(CONNECT)
            .operation_attempt_timeout(CONNECT)
            .operation_timeout(ANSWER)
            .max_attempts(ATTEMPTS)
            .build();
        Self {
            client,
            identity: OnceCell::new(),
        }
    }

    pub(super) async fn identity(&self) -> Result<&Identity, HostError> {
        self.identity.get_or_try_init(|| self.ask_identity()).await
    }

    async fn ask_identity(&self) -> Result<Identity, HostError> {
        let (instance, zone) = tokio::join!(self.ask(INSTANCE), self.ask(ZONE));
        match (instance?, zone?) {
            // It is kept for life: a proxy's page must not become a name.
            (Some(instance), Some(zone)) if is_id(&instance) && is_zone(&zone) => Ok(Identity {
                instance: InstanceId::new(instance),
                zone: Zone::new(zone),
            }),
            (Some(_), Some(_)) => Err(HostError::NoMetadata(
                "what it calls the instance or its zone is no such name".to_owned(),
            )),
            _ => Err(HostError::NoMetadata(
                "it knows no instance id or no zone".to_owned(),
            )),
        }
    }

    /// Where Auto Scaling wants to have this instance; nothing outside a group.
    pub(super) async fn target_state(&self) -> Result<Option<String>, HostError> {
        self.ask(TARGET).await
    }

    /// Why this instance is to go, if it was told so. Auto Scaling and EC2 say
    /// the same elsewhere, only later: silence here is no reason to stop.
    pub(super) async fn leaving(&self) -> Option<String> {
        let (target, spot) = tokio::join!(self.ask(TARGET), self.ask(SPOT));
        let known = |answer: Result<Option<String>, HostError>| {
            answer.unwrap_or_else(|error| {
                tracing::warn!(%error, "could not ask whether this instance is to go");
                None
            })
        };
        told_to_go(known(target).as_deref(), known(spot).as_deref())
    }

    /// What is announced, and no reason to leave yet. Silence is nothing new.
    pub(super) async fn announced(&self) -> BTreeSet<String> {
        let (rebalance, maintenance) = tokio::join!(self.ask(REBALANCE), self.ask(MAINTENANCE));
        let known = |answer: Result<Option<String>, HostError>| answer.ok().flatten();
        let rebalance = known(rebalance).map(|notice| risk(&notice));
        let maintenance = known(maintenance).map(|events| plans(&events));
        rebalance
            .into_iter()
            .chain(maintenance.into_iter().flatten())
            .collect()
    }

    /// None: the service answers that there is no such thing.
    async fn ask(&self, path: &str) -> Result<Option<String>, HostError> {
        match self.client.get(path).await {
            Ok(text) => {
                let text: &str = text.as_ref();
                Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
            }
            Err(ImdsError::ErrorResponse(answer)) if is_absence(&answer) => Ok(None),
            Err(error) => Err(HostError::NoMetadata(deepest(&error))),
        }
    }
}

fn is_absence(answer: &ErrorResponse) -> bool {
    answer.response().status().as_u16() == 404
}

/// The SDK wraps "connection refused" in five layers that say nothing.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("i-").unwrap_or_default();
    !digits.is_empty()
        && digits
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

fn is_zone(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

fn told_to_go(target: Option<&str>, spot: Option<&str>) -> Option<String> {
    if target == Some("Terminated") {
        return Some("Auto Scaling is terminating it".to_owned());
    }
    let notice: Value = serde_json::from_str(spot?).unwrap_or_default();
    // A page of somebody on the way is no notice: it would stop a sound service.
    if !notice.is_object() {
        return None;
    }
    let field = |name| notice.get(name).and_then(Value::as_str);
    // Whatever the notice says in detail, that there is one is the news.
    let action = start_of(field("action").unwrap_or("interrupt"));
    Some(match field("time") {
        Some(time) => format!("EC2 will {action} this spot instance at {}", start_of(time)),
        None => format!("EC2 will {action} this spot instance"),
    })
}

fn risk(notice: &str) -> String {
    let notice: Value = serde_json::from_str(notice).unwrap_or_default();
    let risk = "it is at a higher risk of being interrupted";
    match notice.get("noticeTime").and_then(Value::as_str) {
        Some(since) => format!("{risk} since {}", start_of(since)),
        None => risk.to_owned(),
    }
}

/// The scheduled events that are neither over nor called off.
fn plans(events: &str) -> Vec<String> {
    let events: Value = serde_json::from_str(events).unwrap_or_default();
    let events = events.as_array().map_or(&[][..], Vec::as_slice);
    let plan = |event: &Value| {
        let field = |name| event.get(name).and_then(Value::as_str);
        if field("State") != Some("active") {
            return None;
        }
        let what = start_of(field("Code").unwrap_or("maintenance"));
        Some(match field("NotBefore") {
            Some(from) => format!("{what}, not before {}", start_of(from)),
            None => what,
        })
    };
    events.iter().take(MOST_PLANS).filter_map(plan).collect()
}

/// Enough of it to know what is meant, and nothing that a terminal obeys.
fn start_of(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(100).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{MOST_PLANS, is_id, is_zone, plans, risk, told_to_go};

    #[test]
    fn what_is_announced_is_said_in_short() {
        assert_eq!(
            risk(r#"{"noticeTime":"2026-11-20T10:00:00Z"}"#),
            "it is at a higher risk of being interrupted since 2026-11-20T10:00:00Z"
        );
        assert_eq!(
            risk("garbled"),
            "it is at a higher risk of being interrupted"
        );
        let events = r#"[
            {"Code":"instance-retirement","State":"active","NotBefore":"21 Jan 2026 09:00:43 GMT","EventId":"instance-event-1"},
            {"Code":"system-reboot","State":"completed"},
            {"State":"active"},
            7
        ]"#;
        assert_eq!(
            plans(events),
            [
                "instance-retirement, not before 21 Jan 2026 09:00:43 GMT",
                "maintenance"
            ]
        );
        assert!(plans("{}").is_empty() && plans("[").is_empty());
    }

    #[test]
    fn only_an_end_is_a_reason_to_leave() {
        for target in [
            None,
            Some("InService"),
            Some("Standby"),
            Some("Warmed:Stopped"),
        ] {
            assert_eq!(told_to_go(target, None), None);
        }
        assert_eq!(
            told_to_go(Some("Terminated"), None).as_deref(),
            Some("Auto Scaling is terminating it")
        );
    }

    #[test]
    fn a_spot_notice_is_a_reason_however_it_looks() {
        let notice = r#"{"action":"terminate","time":"2026-11-20T10:00:00Z"}"#;
        assert_eq!(
            told_to_go(Some("InService"), Some(notice)).as_deref(),
            Some("EC2 will terminate this spot instance at 2026-11-20T10:00:00Z")
        );
        assert_eq!(
            told_to_go(None, Some("{}")).as_deref(),
            Some("EC2 will interrupt this spot instance")
        );
    }

    #[test]
    fn a_page_of_a_proxy_is_neither_a_notice_nor_a_name() {
        for page in [
            "",
            "null",
            "garbled",
            "[]",
            "<html><body>Sign in</body></html>",
        ] {
            assert_eq!(told_to_go(Some(page), Some(page)), None, "{page}");
            assert!(!is_id(page), "{page}");
        }
        assert!(!is_zone("<html>") && !is_zone("") && !is_id("i-"));
        assert!(is_id("i-0123456789abcdef0") && is_zone("us-east-1a"));
        assert!(is_zone("us-west-2-lax-1a"));
    }

    const FIELDS: &[&str] = &["action", "time", "noticeTime", "State", "Code", "NotBefore"];

    /// What nobody should answer, among it the right fields with odd contents.
    fn page() -> impl Strategy<Value = String> {
        let word = prop_oneof!["active", ".{0,400}"].prop_map(serde_json::Value::from);
        let field = prop_oneof![3 => word, 1 => Just(json!(null)), 1 => any::<i64>().prop_map(|n| json!(n))];
        let object = prop::collection::btree_map(prop::sample::select(FIELDS), field, 0..6)
            .prop_map(|object| json!(object));
        prop_oneof![
            ".{0,200}",
            object.clone().prop_map(|object| object.to_string()),
            prop::collection::vec(object, 0..40).prop_map(|list| json!(list).to_string()),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_said_in_short_and_safely(page in page()) {
            let mut said = plans(&page);
            prop_assert!(said.len() <= MOST_PLANS);
            said.push(risk(&page));
            said.extend(told_to_go(Some(&page), Some(&page)));
            for text in said {
                prop_assert!(text.chars().count() < 300 && !text.chars().any(char::is_control), "{text:?}");
            }
            for name in [is_id(&page), is_zone(&page)] {
                prop_assert!(!name || page.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
