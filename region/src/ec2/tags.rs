//! Tags: written in the call that makes a resource, later, and read back.

use jiff::Timestamp;

use super::filters::Filters;
use super::ids::{self, Kind};
use super::index;
use super::resource::Resource;
use crate::model::Tags;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;
use crate::{Region, What};

const MOST_TAGS: usize = 50;

/// The tags a create call gives to the resource it makes.
pub(crate) fn specified(params: &Params, kind: Kind) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for specification in params.structures("TagSpecification") {
        let meant = specification.required("ResourceType")?;
        if meant != kind.resource_type() && !allowed_beside(kind, meant) {
            let message =
                format!("'{meant}' is not a valid taggable resource type for this operation.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        if meant == kind.resource_type() {
            tags.extend(pairs(&specification)?);
        }
    }
    limit(&tags)?;
    Ok(tags)
}

/// RunInstances takes tags for what comes with the instance, too.
fn allowed_beside(kind: Kind, meant: &str) -> bool {
    kind == Kind::Instance
        && matches!(
            meant,
            "volume" | "network-interface" | "spot-instances-request"
        )
}

fn pairs(params: &Params) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for tag in params.structures("Tag") {
        let key = tag.required("Key")?.to_owned();
        let value = tag.get("Value").unwrap_or_default().to_owned();
        if key.starts_with("aws:") {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Tag keys starting with 'aws:' are reserved for internal use",
            ));
        }
        if key.chars().count() > 127 {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Tag key exceeds the maximum length of 127 characters",
            ));
        }
        if value.chars().count() > 255 {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Tag value exceeds the maximum length of 255 characters",
            ));
        }
        if tags.insert(key.clone(), value).is_some() {
            let message = format!("Duplicate tag key '{key}' specified.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
    }
    Ok(tags)
}

fn limit(tags: &Tags) -> Result<(), ApiError> {
    if tags.len() > MOST_TAGS {
        let message = format!("Tag limit exceeded: a resource can have at most {MOST_TAGS} tags");
        return Err(ApiError::new("TagLimitExceeded", message));
    }
    Ok(())
}

/// All or nothing: one bad id, and no resource is tagged.
pub(crate) fn create(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let new = pairs(params)?;
    if new.is_empty() {
        return Err(ApiError::missing("Tag"));
    }
    let resources = resources(region, params, now)?;
    for (kind, id) in &resources {
        let mut after = tags_of(region, *kind, id)
            .map(|tags| tags.clone())
            .unwrap_or_default();
        after.extend(new.clone());
        limit(&after)?;
    }
    for (kind, id) in resources {
        put(region, caller, kind, &id, new.clone(), now);
    }
    Ok(done())
}

/// Writes tags on a resource that exists.
pub(crate) fn put(region: &mut Region, who: &str, kind: Kind, id: &str, new: Tags, now: Timestamp) {
    if let Some(tags) = tags_of(region, kind, id) {
        tags.extend(new.clone());
    }
    touched(region, kind, id, now);
    for (key, value) in new {
        region.log(
            now,
            who,
            What::Tagged {
                resource: id.to_owned(),
                key,
                value,
            },
        );
    }
}

pub(crate) fn delete(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let resources = resources(region, params, now)?;
    let mut meant = Vec::new();
    for tag in params.structures("Tag") {
        meant.push((
            tag.required("Key")?.to_owned(),
            tag.get("Value").map(str::to_owned),
        ));
    }
    for (kind, id) in resources {
        let Some(tags) = tags_of(region, kind, &id) else {
            continue;
        };
        let goes = |key: &String, value: &String| {
            let named = |(k, v): &(String, Option<String>)| {
                k == key && v.as_ref().is_none_or(|v| v == value)
            };
            meant.is_empty() || meant.iter().any(named)
        };
        let gone: Vec<String> = tags
            .iter()
            .filter(|(k, v)| goes(k, v))
            .map(|(k, _)| k.clone())
            .collect();
        tags.retain(|key, _| !gone.contains(key));
        touched(region, kind, &id, now);
        for key in gone {
            region.log(
                now,
                caller,
                What::Untagged {
                    resource: id.clone(),
                    key,
                },
            );
        }
    }
    Ok(done())
}

fn resources(
    region: &Region,
    params: &Params,
    now: Timestamp,
) -> Result<Vec<(Kind, String)>, ApiError> {
    let ids = params.list("ResourceId");
    if ids.is_empty() {
        return Err(ApiError::missing("resourceIdSet"));
    }
    let model = &region.model;
    let mut found = Vec::new();
    for id in ids {
        let kind = Kind::of(&id)
            .ok_or_else(|| ApiError::new("InvalidID", format!("The ID '{id}' is not valid")))?;
        match kind {
            Kind::Instance => ids::find(&model.instances, &id, now).map(drop)?,
            Kind::Volume => ids::find(&model.volumes, &id, now).map(drop)?,
            Kind::Snapshot => ids::find(&model.snapshots, &id, now).map(drop)?,
            Kind::Allocation => ids::find(&model.addresses, &id, now).map(drop)?,
        }
        found.push((kind, id));
    }
    Ok(found)
}

fn tags_of<'a>(region: &'a mut Region, kind: Kind, id: &str) -> Option<&'a mut Tags> {
    let model = &mut region.model;
    match kind {
        Kind::Instance => model.instances.get_mut(id).map(|i| &mut i.tags),
        Kind::Volume => model.volumes.get_mut(id).map(|v| &mut v.tags),
        Kind::Snapshot => model.snapshots.get_mut(id).map(|s| &mut s.tags),
        Kind::Allocation => model.addresses.get_mut(id).map(|a| &mut a.tags),
    }
}

fn touched(region: &mut Region, kind: Kind, id: &str, now: Timestamp) {
    match kind {
        Kind::Instance => index::instance_touched(region, id, now),
        Kind::Volume => index::volume_touched(region, id, now),
        Kind::Snapshot => index::snapshot_touched(region, id, now),
        Kind::Allocation => {}
    }
}

/// DescribeTags knows no ids, so it always reads the index.
pub(crate) fn describe(region: &Region, params: &Params) -> Result<Xml, ApiError> {
    let filters = Filters::among(params, &["resource-id", "resource-type", "key", "value"])?;
    let mut rows = Vec::new();
    collect(&mut rows, region.index.instances.values());
    collect(&mut rows, region.index.volumes.values());
    collect(&mut rows, region.index.snapshots.values());
    collect(&mut rows, region.model.addresses.values());
    rows.retain(|row: &Row<'_>| {
        filters.accept_fields(|name| {
            let value = match name {
                "resource-id" => row.id,
                "resource-type" => row.kind.resource_type(),
                "key" | "tag-key" => row.key,
                "value" | "tag-value" => row.value,
                name if name.strip_prefix("tag:") == Some(row.key) => row.value,
                _ => return Vec::new(),
            };
            vec![value.to_owned()]
        })
    });
    let mut xml = Xml::new();
    xml.list("tagSet", "item", rows, |xml, row| {
        xml.leaf("resourceId", row.id);
        xml.leaf("resourceType", row.kind.resource_type());
        xml.leaf("key", row.key);
        xml.leaf("value", row.value);
    });
    Ok(xml)
}

struct Row<'a> {
    kind: Kind,
    id: &'a str,
    key: &'a str,
    value: &'a str,
}

fn collect<'a, T: Resource + 'a>(rows: &mut Vec<Row<'a>>, from: impl Iterator<Item = &'a T>) {
    for resource in from {
        let tags = resource.tags().iter();
        rows.extend(tags.map(|(key, value)| Row {
            kind: T::KIND,
            id: resource.id(),
            key,
            value,
        }));
    }
}

/// `tagSet`, as every resource writes its tags.
pub(crate) fn write(xml: &mut Xml, tags: &Tags) {
    xml.list("tagSet", "item", tags, |xml, (key, value)| {
        xml.leaf("key", key);
        xml.leaf("value", value);
    });
}

/// What actions answer that have nothing to say.
pub(crate) fn done() -> Xml {
    let mut xml = Xml::new();
    xml.leaf("return", true);
    xml
}
