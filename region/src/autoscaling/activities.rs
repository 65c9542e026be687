//! What has a group done, and why? Its scaling activities.

use jiff::Timestamp;
use serde_json::json;

use super::model::{Activity, ActivityStatus, Group};
use super::no_such_group;
use super::pages::page;
use crate::ec2::zones::subnet_of;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Xml, timestamp};
use crate::{Region, events};

/// Six weeks of activities would be kept; this many are enough for any drill.
const KEPT_MAX: usize = 1_000;

/// Why something is done, in the words Auto Scaling uses.
pub(crate) fn cause(now: Timestamp, what: &str) -> String {
    format!("At {} {what}", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

/// Opens an activity and says its id.
pub(crate) fn begin(
    region: &mut Region,
    group: &str,
    description: String,
    cause: String,
    zone: Option<&str>,
    now: Timestamp,
) -> String {
    let id = region.dice.uuid("activity");
    if let Some(group) = region.model.groups.get_mut(group) {
        group.activities.push(Activity {
            id: id.clone(),
            description,
            cause,
            status: ActivityStatus::InProgress,
            message: None,
            progress: 0,
            zone: zone.map(str::to_owned),
            started: now,
            ended: None,
        });
        let surplus = group.activities.len().saturating_sub(KEPT_MAX);
        group.activities.drain(..surplus);
    }
    id
}

/// A change of an open activity; one that has ended stays as it was.
pub(crate) fn note(
    region: &mut Region,
    group: &str,
    id: Option<&str>,
    status: ActivityStatus,
    now: Timestamp,
) {
    let Some(group) = region.model.groups.get_mut(group) else {
        return;
    };
    let open =
        |activity: &&mut Activity| Some(activity.id.as_str()) == id && activity.ended.is_none();
    let Some(activity) = group.activities.iter_mut().find(open) else {
        return;
    };
    activity.status = status;
    match status {
        ActivityStatus::InProgress => activity.progress = 50,
        ActivityStatus::MidLifecycleAction => activity.progress = 60,
        ActivityStatus::Successful | ActivityStatus::Failed | ActivityStatus::Cancelled => {
            activity.progress = 100;
            activity.ended = Some(now);
        }
    }
}

/// Ends an activity as failed, with the reason where people look for it.
pub(crate) fn fail(
    region: &mut Region,
    group: &str,
    id: Option<&str>,
    reason: &str,
    now: Timestamp,
) {
    note(region, group, id, ActivityStatus::Failed, now);
    let Some(group) = region.model.groups.get_mut(group) else {
        return;
    };
    if let Some(activity) = group
        .activities
        .iter_mut()
        .find(|activity| Some(activity.id.as_str()) == id)
    {
        activity.message = Some(reason.to_owned());
        activity.description = format!("{}.  Status Reason: {reason}", activity.description);
    }
}

pub(crate) fn details(activity: &Activity) -> serde_json::Value {
    match &activity.zone {
        Some(zone) => json!({ "Subnet ID": subnet_of(zone), "Availability Zone": zone }),
        None => json!({}),
    }
}

pub(crate) fn write(xml: &mut Xml, group: &Group, activity: &Activity) {
    xml.leaf("ActivityId", &activity.id);
    xml.leaf("AutoScalingGroupName", &group.name);
    xml.leaf("AutoScalingGroupARN", &group.arn);
    xml.leaf("Description", &activity.description);
    xml.leaf("Cause", &activity.cause);
    xml.time("StartTime", activity.started);
    xml.maybe("EndTime", activity.ended.map(timestamp));
    xml.leaf("StatusCode", activity.status.as_str());
    xml.maybe("StatusMessage", activity.message.as_deref());
    xml.leaf("Progress", activity.progress);
    xml.leaf("Details", details(activity));
}

pub(crate) fn find<'a>(group: &'a Group, id: &str) -> Option<&'a Activity> {
    group.activities.iter().find(|activity| activity.id == id)
}

/// DescribeScalingActivities: the newest first.
pub(crate) fn describe(region: &Region, params: &Params) -> Result<Xml, ApiError> {
    let ids = params.list("ActivityIds");
    let name = params.get("AutoScalingGroupName");
    if let Some(name) = name {
        region
            .model
            .groups
            .get(name)
            .ok_or_else(|| no_such_group(name))?;
    }
    let mut found: Vec<(&Group, &Activity)> = Vec::new();
    for group in region
        .model
        .groups
        .values()
        .filter(|group| name.is_none_or(|name| group.name == name))
    {
        let wanted = |activity: &&Activity| ids.is_empty() || ids.contains(&activity.id);
        found.extend(
            group
                .activities
                .iter()
                .rev()
                .filter(wanted)
                .map(|activity| (group, activity)),
        );
    }
    found.sort_by_key(|(_, activity)| std::cmp::Reverse(activity.started));
    let (page, next) = page(params, &found, 100, |(_, activity)| activity.id.clone())?;
    let mut xml = Xml::new();
    xml.list("Activities", "member", page, |xml, (group, activity)| {
        write(xml, group, activity)
    });
    xml.maybe("NextToken", next);
    Ok(xml)
}

/// Tells of a launch or an end, as EventBridge does.
pub(crate) fn tell(
    region: &mut Region,
    name: &str,
    instance: &str,
    activity: Option<&str>,
    detail_type: &str,
    now: Timestamp,
) {
    let request = region.dice.uuid("activity-request");
    let Some(group) = region.model.groups.get(name) else {
        return;
    };
    let Some(activity) = activity.and_then(|id| find(group, id)) else {
        return;
    };
    // A success is told as `InProgress`: that is how Auto Scaling does it.
    let failed = activity.status == ActivityStatus::Failed;
    let detail = json!({
        "StatusCode": if failed { "Failed" } else { "InProgress" },
        "Description": activity.description,
        "AutoScalingGroupName": group.name,
        "ActivityId": activity.id,
        "Details": details(activity),
        "RequestId": request,
        "StatusMessage": activity.message.as_deref().unwrap_or_default(),
        "StartTime": timestamp(activity.started),
        "EndTime": timestamp(activity.ended.unwrap_or(now)),
        "EC2InstanceId": instance,
        "Cause": activity.cause,
    });
    let mut resources = vec![group.arn.clone()];
    if !instance.is_empty() {
        let (name, account) = (&region.settings.name, &region.settings.account);
        resources.push(format!("arn:aws:ec2:{name}:{account}:instance/{instance}"));
    }
    events::emit(
        region,
        detail_type,
        "aws.autoscaling",
        &resources,
        detail,
        now,
    );
}
