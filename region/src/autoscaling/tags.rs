//! The tags of groups.

use jiff::Timestamp;

use super::model::Group;
use super::pages::page;
use super::{flag, invalid, need, no_such_group};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;
use crate::{Region, What};

const TAGS_MAX: usize = 50;

/// A tag as a request gives it.
pub(crate) struct Tag {
    key: String,
    value: String,
    propagate: bool,
}

/// The tags of a request, each checked before any is set.
pub(crate) fn from_params(params: &Params) -> Result<Vec<(Option<String>, Tag)>, ApiError> {
    let mut tags = Vec::new();
    for tag in params.structures("Tags") {
        let key = need(&tag, "Key")?.to_owned();
        if key.starts_with("aws:") {
            return Err(invalid(
                "Tag keys starting with 'aws:' are reserved for internal use",
            ));
        }
        let value = tag.get("Value").unwrap_or_default().to_owned();
        if key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid(format!(
                "The tag {key} is too long: at most 128 characters for a key, 256 for a value"
            )));
        }
        let propagate = flag(&tag, "PropagateAtLaunch")?.unwrap_or(false);
        tags.push((
            tag.get("ResourceId").map(str::to_owned),
            Tag {
                key,
                value,
                propagate,
            },
        ));
    }
    Ok(tags)
}

/// Sets a tag, unless that would be one too many.
pub(crate) fn set(group: &mut Group, tag: Tag) -> Result<(), ApiError> {
    if group.tags.len() >= TAGS_MAX && !group.tags.contains_key(&tag.key) {
        return Err(ApiError::new(
            "LimitExceeded",
            format!("A group may have {TAGS_MAX} tags at most."),
        ));
    }
    if tag.propagate {
        group.propagated.insert(tag.key.clone());
    } else {
        group.propagated.remove(&tag.key);
    }
    group.tags.insert(tag.key, tag.value);
    Ok(())
}

fn group_named<'a>(region: &'a mut Region, id: Option<&str>) -> Result<&'a mut Group, ApiError> {
    let id = id.ok_or_else(|| invalid("A tag must name its group in ResourceId"))?;
    region
        .model
        .groups
        .get_mut(id)
        .ok_or_else(|| no_such_group(id))
}

/// CreateOrUpdateTags.
pub(crate) fn create_or_update(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let tags = from_params(params)?;
    for (group, _) in &tags {
        group_named(region, group.as_deref())?;
    }
    for (group, tag) in tags {
        let group = group_named(region, group.as_deref())?;
        let what = What::Tagged {
            resource: group.name.clone(),
            key: tag.key.clone(),
            value: tag.value.clone(),
        };
        set(group, tag)?;
        region.log(now, "aws", what);
    }
    Ok(Xml::new())
}

/// DeleteTags: with a value, only if it is that one.
pub(crate) fn delete(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    for tag in params.structures("Tags") {
        let key = need(&tag, "Key")?;
        let group = group_named(region, tag.get("ResourceId"))?;
        let meant = |value: &String| {
            tag.get("Value")
                .is_none_or(|given| given.is_empty() || given == value)
        };
        if group.tags.get(key).is_some_and(meant) {
            group.tags.remove(key);
            group.propagated.remove(key);
            let what = What::Untagged {
                resource: group.name.clone(),
                key: key.to_owned(),
            };
            region.log(now, "aws", what);
        }
    }
    Ok(Xml::new())
}

/// DescribeTags.
pub(crate) fn describe(region: &Region, params: &Params) -> Result<Xml, ApiError> {
    let filters = params.structures("Filters");
    let mut found: Vec<(&Group, &String, &String)> = Vec::new();
    for group in region.model.groups.values() {
        for (key, value) in &group.tags {
            let mut fits = true;
            for filter in &filters {
                fits &= filter_fits(filter, group, key, value)?;
            }
            if fits {
                found.push((group, key, value));
            }
        }
    }
    let (page, next) = page(params, &found, 50, |(group, key, _)| {
        format!("{}\n{key}", group.name)
    })?;
    let mut xml = Xml::new();
    xml.list("Tags", "member", page, |xml, (group, key, value)| {
        write(xml, group, key, value)
    });
    xml.maybe("NextToken", next);
    Ok(xml)
}

fn filter_fits(filter: &Params, group: &Group, key: &str, value: &str) -> Result<bool, ApiError> {
    let values = filter.list("Values");
    let has = |text: &str| values.iter().any(|wanted| wanted == text);
    match filter.get("Name").unwrap_or_default() {
        "auto-scaling-group" => Ok(has(&group.name)),
        "key" => Ok(has(key)),
        "value" => Ok(has(value)),
        "propagate-at-launch" => Ok(has(if group.propagated.contains(key) {
            "true"
        } else {
            "false"
        })),
        other => Err(invalid(format!(
            "Filter type {other} is not correct. Allowed Filter types are: \
            auto-scaling-group key propagate-at-launch value"
        ))),
    }
}

pub(crate) fn write(xml: &mut Xml, group: &Group, key: &str, value: &str) {
    xml.leaf("ResourceId", &group.name);
    xml.leaf("ResourceType", "auto-scaling-group");
    xml.leaf("Key", key);
    xml.leaf("Value", value);
    xml.leaf("PropagateAtLaunch", group.propagated.contains(key));
}
