//! What do calls of Auto Scaling, CloudWatch and SQS touch?

use std::collections::BTreeMap;

use super::ask::{Question, arn};
use crate::Region;
use crate::model::{Group, Tags};
use crate::wire::query::Params;

pub(crate) fn auto_scaling(region: &Region, action: &str, params: &Params) -> Vec<Question> {
    let named = format!("autoscaling:{action}");
    if action.starts_with("Describe") {
        return vec![Question::new(region, &named, "*".to_owned())];
    }
    let mut brought: BTreeMap<String, Tags> = BTreeMap::new();
    for tag in params.structures("Tags") {
        let of = tag.get("ResourceId").unwrap_or_default().to_owned();
        let key = tag.get("Key").unwrap_or_default().to_owned();
        let value = tag.get("Value").unwrap_or_default().to_owned();
        brought.entry(of).or_default().insert(key, value);
    }
    let groups = meant(region, params, &brought);
    let about = |group: &Group| {
        let tags = brought.get(&group.name).cloned().unwrap_or_default();
        Question::new(region, &named, group.arn.clone())
            .tagged("autoscaling", &group.tags)
            .bringing(&tags)
    };
    groups.into_iter().map(about).collect()
}

/// The groups that a call names, or whose members or tags it names. Of one that
/// is not there the service itself says so.
fn meant<'a>(
    region: &'a Region,
    params: &Params,
    brought: &BTreeMap<String, Tags>,
) -> Vec<&'a Group> {
    let groups = &region.model.groups;
    if !brought.is_empty() {
        return brought.keys().filter_map(|name| groups.get(name)).collect();
    }
    if let Some(named) = params.get("AutoScalingGroupName") {
        let name = named.rsplit("autoScalingGroupName/").next();
        return groups.get(name.unwrap_or(named)).into_iter().collect();
    }
    let instance = params.get("InstanceId").unwrap_or_default();
    let mut all = groups.values();
    all.find(|group| group.members.contains_key(instance))
        .into_iter()
        .collect()
}

/// Composite alarms are shown only to those who may see all.
pub(crate) fn cloudwatch(region: &Region, action: &str, name: &str) -> Question {
    let resource = match action {
        "DescribeAlarms" | "PutMetricData" => "*".to_owned(),
        _ => arn(region, "cloudwatch", &format!("alarm:{name}")),
    };
    Question::new(region, &format!("cloudwatch:{action}"), resource)
}

/// A batch is allowed by the permission for one.
pub(crate) fn sqs(region: &Region, action: &str, queue: &str) -> Question {
    let resource = match action {
        "ListQueues" => "*".to_owned(),
        _ => arn(region, "sqs", queue),
    };
    let action = action.strip_suffix("Batch").unwrap_or(action);
    Question::new(region, &format!("sqs:{action}"), resource)
}
