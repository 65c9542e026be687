//! Launch templates: what instances of a group are made from, version by version.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::instances::{Device, ROOT_DEVICE};
use super::tags;
use crate::Region;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

#[derive(Clone, Debug)]
pub struct LaunchTemplate {
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    pub default: u64,
    pub(crate) versions: BTreeMap<u64, Version>,
}

#[derive(Clone, Debug)]
pub(crate) struct Version {
    number: u64,
    description: Option<String>,
    created: Timestamp,
    data: Params,
}

/// The id of a template that is known by name only: always the same for one name.
pub(crate) fn id_of(name: &str) -> String {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("lt-0{hash:016x}")
}

/// CreateLaunchTemplate.
pub(crate) fn create(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let name = params.required("LaunchTemplateName")?;
    let id = id_of(name);
    if region.model.templates.contains_key(&id) {
        return Err(ApiError::new(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "Launch template name already in use.",
        ));
    }
    let version = version(1, params, data(params)?, now);
    let template = LaunchTemplate {
        id: id.clone(),
        name: name.to_owned(),
        created: now,
        default: 1,
        versions: BTreeMap::from([(1, version)]),
    };
    let mut xml = Xml::new();
    xml.node("launchTemplate", |xml| write(xml, &template));
    region.model.templates.insert(id, template);
    Ok(xml)
}

/// CreateLaunchTemplateVersion: what is not said comes from the source version.
pub(crate) fn create_version(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let template = named(region, params)?.clone();
    let mut wanted = data(params)?;
    if let Some(source) = params.get("SourceVersion") {
        let source = numbered(&template, source)?;
        wanted = wanted.over(&source.data);
    }
    let number = template
        .versions
        .keys()
        .max()
        .map_or(1, |newest| newest + 1);
    let version = version(number, params, wanted, now);
    let mut xml = Xml::new();
    xml.node("launchTemplateVersion", |xml| {
        write_version(xml, &template, &version)
    });
    if let Some(kept) = region.model.templates.get_mut(&template.id) {
        kept.versions.insert(number, version);
    }
    Ok(xml)
}

/// DeleteLaunchTemplate.
pub(crate) fn delete(region: &mut Region, params: &Params) -> Result<Xml, ApiError> {
    let template = named(region, params)?.clone();
    region.model.templates.remove(&template.id);
    let mut xml = Xml::new();
    xml.node("launchTemplate", |xml| write(xml, &template));
    Ok(xml)
}

/// DescribeLaunchTemplates.
pub(crate) fn describe(region: &Region, params: &Params) -> Result<Xml, ApiError> {
    let (ids, names) = (
        params.list("LaunchTemplateId"),
        params.list("LaunchTemplateName"),
    );
    let all = &region.model.templates;
    if let Some(unknown) = ids.iter().find(|id| !all.contains_key(*id)) {
        return Err(no_such_id(unknown));
    }
    if let Some(unknown) = names.iter().find(|name| !all.contains_key(&id_of(name))) {
        return Err(no_such_name(unknown));
    }
    let found = all.values().filter(|template| {
        (ids.is_empty() && names.is_empty())
            || ids.contains(&template.id)
            || names.contains(&template.name)
    });
    let mut xml = Xml::new();
    xml.list("launchTemplates", "item", found, write);
    Ok(xml)
}

/// DescribeLaunchTemplateVersions of one template: the named versions, or all.
pub(crate) fn describe_versions(region: &Region, params: &Params) -> Result<Xml, ApiError> {
    let template = named(region, params)?;
    let wanted = params.list("LaunchTemplateVersion");
    let versions: Vec<&Version> = if wanted.is_empty() {
        template.versions.values().collect()
    } else {
        let named = wanted.iter().map(|which| numbered(template, which));
        named.collect::<Result<_, _>>()?
    };
    let mut xml = Xml::new();
    xml.list(
        "launchTemplateVersionSet",
        "item",
        versions,
        |xml, version| write_version(xml, template, version),
    );
    Ok(xml)
}

/// What a launch from this template brings along, where the region knows it.
pub(crate) fn devices(region: &Region, id: &str, version: &str) -> Vec<Device> {
    let Some(data) = used(region, id, version) else {
        return Vec::new();
    };
    let mut devices = Vec::new();
    for mapping in data.structures("BlockDeviceMapping") {
        let name = mapping.get("DeviceName").unwrap_or_default();
        let volume = mapping.within("Ebs");
        if name.is_empty() || name == ROOT_DEVICE || volume.is_empty() {
            continue;
        }
        devices.push(Device {
            name: name.to_owned(),
            size_gib: volume.number("VolumeSize").ok().flatten().unwrap_or(8),
            delete_on_termination: flag(&volume, "DeleteOnTermination").unwrap_or(true),
        });
    }
    devices
}

/// The instance profile's ARN or name.
pub(crate) fn profile(region: &Region, id: &str, version: &str) -> Option<String> {
    let profile = used(region, id, version)?.within("IamInstanceProfile");
    let named = profile.get("Arn").or(profile.get("Name"));
    named.map(str::to_owned)
}

fn used<'a>(region: &'a Region, id: &str, version: &str) -> Option<&'a Params> {
    let template = region.model.templates.get(id)?;
    numbered(template, version)
        .ok()
        .map(|version| &version.data)
}

fn data(params: &Params) -> Result<Params, ApiError> {
    let data = params.within("LaunchTemplateData");
    for mapping in data.structures("BlockDeviceMapping") {
        mapping.required("DeviceName")?;
        mapping.number("Ebs.VolumeSize")?;
        mapping.flag("Ebs.DeleteOnTermination")?;
    }
    Ok(data)
}

fn version(number: u64, params: &Params, data: Params, now: Timestamp) -> Version {
    Version {
        number,
        description: params.get("VersionDescription").map(str::to_owned),
        created: now,
        data,
    }
}

fn named<'a>(region: &'a Region, params: &Params) -> Result<&'a LaunchTemplate, ApiError> {
    let all = &region.model.templates;
    match (
        params.get("LaunchTemplateId"),
        params.get("LaunchTemplateName"),
    ) {
        (Some(id), None) => all.get(id).ok_or_else(|| no_such_id(id)),
        (None, Some(name)) => all.get(&id_of(name)).ok_or_else(|| no_such_name(name)),
        _ => Err(ApiError::new(
            "MissingParameter",
            "Either the launch template ID or the launch template name must be specified.",
        )),
    }
}

fn numbered<'a>(template: &'a LaunchTemplate, which: &str) -> Result<&'a Version, ApiError> {
    let newest = template.versions.keys().max().copied();
    let number = match which {
        "$Latest" => newest,
        "$Default" => Some(template.default),
        number => number.parse().ok(),
    };
    let found = number.and_then(|number| template.versions.get(&number));
    found.ok_or_else(|| {
        ApiError::new(
            "InvalidLaunchTemplateId.VersionNotFound",
            format!(
                "Could not find the specified version {which} for the launch template with ID {}.",
                template.id
            ),
        )
    })
}

fn no_such_id(id: &str) -> ApiError {
    ApiError::new(
        "InvalidLaunchTemplateId.NotFound",
        format!("The specified launch template, with template ID {id}, does not exist."),
    )
}

fn no_such_name(name: &str) -> ApiError {
    ApiError::new(
        "InvalidLaunchTemplateName.NotFoundException",
        format!("The specified launch template, with template name {name}, does not exist."),
    )
}

fn flag(params: &Params, name: &str) -> Option<bool> {
    params.flag(name).ok().flatten()
}

fn write(xml: &mut Xml, template: &LaunchTemplate) {
    xml.leaf("launchTemplateId", &template.id);
    xml.leaf("launchTemplateName", &template.name);
    xml.time("createTime", template.created);
    xml.leaf("createdBy", "arn:aws:iam::123456789012:root");
    xml.leaf("defaultVersionNumber", template.default);
    let latest = template.versions.keys().max().copied().unwrap_or(1);
    xml.leaf("latestVersionNumber", latest);
    tags::write(xml, &BTreeMap::new());
}

fn write_version(xml: &mut Xml, template: &LaunchTemplate, version: &Version) {
    xml.leaf("launchTemplateId", &template.id);
    xml.leaf("launchTemplateName", &template.name);
    xml.leaf("versionNumber", version.number);
    xml.maybe("versionDescription", version.description.as_deref());
    xml.time("createTime", version.created);
    xml.leaf("createdBy", "arn:aws:iam::123456789012:root");
    xml.leaf("defaultVersion", version.number == template.default);
    xml.node("launchTemplateData", |xml| write_data(xml, &version.data));
}

/// As much of it as somebody here may ask for.
fn write_data(xml: &mut Xml, data: &Params) {
    xml.maybe("imageId", data.get("ImageId"));
    xml.maybe("instanceType", data.get("InstanceType"));
    xml.maybe("userData", data.get("UserData"));
    let profile = data.within("IamInstanceProfile");
    if !profile.is_empty() {
        xml.node("iamInstanceProfile", |xml| {
            xml.maybe("arn", profile.get("Arn"));
            xml.maybe("name", profile.get("Name"));
        });
    }
    let mappings = data.structures("BlockDeviceMapping");
    xml.list(
        "blockDeviceMappingSet",
        "item",
        &mappings,
        |xml, mapping| {
            xml.maybe("deviceName", mapping.get("DeviceName"));
            xml.maybe("noDevice", mapping.get("NoDevice"));
            let volume = mapping.within("Ebs");
            if !volume.is_empty() {
                xml.node("ebs", |xml| {
                    xml.maybe("deleteOnTermination", flag(&volume, "DeleteOnTermination"));
                    xml.maybe("encrypted", flag(&volume, "Encrypted"));
                    xml.maybe("kmsKeyId", volume.get("KmsKeyId"));
                    xml.maybe("snapshotId", volume.get("SnapshotId"));
                    xml.maybe("volumeSize", volume.get("VolumeSize"));
                    xml.maybe("volumeType", volume.get("VolumeType"));
                });
            }
        },
    );
    let market = data.within("InstanceMarketOptions");
    if !market.is_empty() {
        xml.node("instanceMarketOptions", |xml| {
            xml.maybe("marketType", market.get("MarketType"));
        });
    }
    xml.maybe("disableApiStop", flag(data, "DisableApiStop"));
    let options = data.within("MetadataOptions");
    if !options.is_empty() {
        xml.node("metadataOptions", |xml| {
            xml.leaf("state", "applied");
            xml.maybe("httpTokens", options.get("HttpTokens"));
            xml.maybe("httpEndpoint", options.get("HttpEndpoint"));
            xml.maybe("instanceMetadataTags", options.get("InstanceMetadataTags"));
        });
    }
    let interfaces = data.structures("NetworkInterface");
    xml.list(
        "networkInterfaceSet",
        "item",
        &interfaces,
        |xml, interface| {
            xml.maybe("deviceIndex", interface.get("DeviceIndex"));
            xml.maybe(
                "associatePublicIpAddress",
                flag(interface, "AssociatePublicIpAddress"),
            );
            xml.maybe("subnetId", interface.get("SubnetId"));
        },
    );
}
