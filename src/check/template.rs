//! Is a new instance made such that the data can come to it, and stays when it
//! goes?

use super::facts::{Facts, LaunchSource, Mapping, Template};
use super::finding::{Finding, Part, Sheet};
use super::mend::{aws, rehome};
use crate::spec::{GroupSpec, VolumeSpec};

/// Where images have their root volume.
const ROOTS: &[&str] = &["/dev/xvda", "/dev/sda1", "/dev/sda"];

pub(super) fn judge(facts: &Facts, spec: &GroupSpec) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Template);
    let Some(Some(setup)) = facts.setup.known() else {
        return sheet.done();
    };
    match &setup.source {
        LaunchSource::Template { template, version } => {
            match sheet.known("template", &facts.template) {
                None => {}
                Some(None) => sheet.wrong(
                    "template",
                    format!("there is no version {version} of the launch template {template}"),
                    "no instance can be launched",
                    aws("autoscaling update-auto-scaling-group")
                        .with("auto-scaling-group-name", &spec.name)
                        .and("--launch-template LaunchTemplateName=NAME,Version='$Latest'"),
                ),
                Some(Some(template)) => made_from(&mut sheet, spec, template),
            }
        }
        LaunchSource::Configuration(name) => sheet.warning(
            "template",
            format!(
                "instances are made from the launch configuration {name}, which is not looked into"
            ),
            "a data volume in it would be made blank for each new instance, and go with it",
            "use a launch template: launch configurations know nothing that AWS added since 2023",
        ),
        LaunchSource::Nothing => {
            sheet.unknown("template", "AWS does not say what instances are made from");
        }
    }
    sheet.done()
}

fn made_from(sheet: &mut Sheet, spec: &GroupSpec, template: &Template) {
    let what = format!("{} version {}", template.name, template.version);
    mappings(sheet, spec, template, &what);
    if spec.agent {
        profile(sheet, template, &what);
        metadata(sheet, template, &what);
        user_data(sheet, template, &what);
    }
}

fn mappings(sheet: &mut Sheet, spec: &GroupSpec, template: &Template, what: &str) {
    let mut sound = true;
    let data = template
        .mappings
        .iter()
        .filter(|mapping| mapping.is_volume && !ROOTS.contains(&mapping.device.as_str()));
    for mapping in data {
        let taken = spec.volumes.iter().find(|volume| is_at(volume, mapping));
        let goes = if mapping.delete_on_termination {
            "it goes with its instance"
        } else {
            "it stays when its instance goes, and nobody looks after it"
        };
        match taken {
            Some(volume) => sheet.wrong(
                "template-volumes",
                format!(
                    "{what} makes a volume at {}, where {} belongs",
                    mapping.device, volume.name
                ),
                "every new instance comes with an empty volume there: the data cannot be attached",
                new_version(template),
            ),
            None => sheet.warning(
                "template-volumes",
                format!("{what} makes a volume at {}; {goes}", mapping.device),
                "what is written there does not follow the group",
                new_version(template),
            ),
        }
        sound = false;
    }
    if sound {
        sheet.right(
            "template-volumes",
            format!("{what} makes no data volume: they follow by themselves"),
        );
    }
}

/// `/dev/sdf` and `/dev/xvdf` are one place.
fn is_at(volume: &VolumeSpec, mapping: &Mapping) -> bool {
    let place = |device: &str| device.replacen("/dev/xvd", "/dev/sd", 1);
    place(&volume.device) == place(&mapping.device)
}

fn new_version(template: &Template) -> super::mend::Command {
    let flag = if template.name.starts_with("lt-") {
        "launch-template-id"
    } else {
        "launch-template-name"
    };
    aws("ec2 create-launch-template-version")
        .with(flag, &template.name)
        .with("source-version", &template.version)
        .and("--launch-template-data")
        .and("'{\"BlockDeviceMappings\":[{\"DeviceName\":\"ROOT-DEVICE\",\"Ebs\":{\"DeleteOnTermination\":true}}]}'")
}

fn profile(sheet: &mut Sheet, template: &Template, what: &str) {
    match &template.profile {
        Some(profile) => sheet.right("template-role", format!("new instances are {profile}")),
        None => sheet.wrong(
            "template-role",
            format!("{what} gives new instances no role"),
            "the heir has no credentials: it can ask for nothing",
            rehome("iam-policy --place instance  # prints what its role has to allow"),
        ),
    }
}

fn metadata(sheet: &mut Sheet, template: &Template, what: &str) {
    if template.metadata_endpoint == Some(false) {
        sheet.wrong(
            "template-metadata",
            format!("{what} turns the instance metadata service off"),
            "the heir cannot learn who it is, and has no credentials",
            "make a version with MetadataOptions={HttpEndpoint=enabled,HttpTokens=required}",
        );
    } else if template.metadata_tokens_required == Some(false) {
        sheet.warning(
            "template-metadata",
            format!("{what} lets the metadata service answer without a token (version 1)"),
            "a fault in the workload that makes it fetch addresses gives its role away",
            "make a version with MetadataOptions={HttpEndpoint=enabled,HttpTokens=required}",
        );
    } else {
        sheet.right(
            "template-metadata",
            "new instances have their metadata service",
        );
    }
}

fn user_data(sheet: &mut Sheet, template: &Template, what: &str) {
    let runs = template
        .user_data
        .as_ref()
        .is_some_and(|text| text.contains("rehome"));
    if runs {
        sheet.right("user-data", format!("{what} starts rehome at boot"));
    } else {
        sheet.warning(
            "user-data",
            format!("the user data of {what} does not mention rehome"),
            "unless the image enables its units, nobody fetches the data for the heir",
            "run `rehome bootstrap` in the user data, or enable rehome-bootstrap.service in the image",
        );
    }
}
