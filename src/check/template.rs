//! Is a new instance made such that the data can come to it, and stays when it
//! goes?

use super::facts::{Facts, LaunchSource, Mapping, Template};
use super::finding::{Finding, Part, Sheet};
use super::mend::{Command, aws};
use crate::spec::{GroupSpec, VolumeSpec};
use crate::tags;

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
                Some(Some(template)) => {
                    let made = Made {
                        template,
                        spec,
                        follows: version == "$Latest",
                        mixes_spot: setup.takes_spot,
                    };
                    made.judge(&mut sheet);
                }
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

/// The version that the next instance is made from.
struct Made<'a> {
    template: &'a Template,
    spec: &'a GroupSpec,
    /// The group takes whatever version is the newest.
    follows: bool,
    /// The group takes Spot instances whatever the template says.
    mixes_spot: bool,
}

impl Made<'_> {
    fn judge(&self, sheet: &mut Sheet) {
        self.mappings(sheet);
        self.tags(sheet);
        self.stop(sheet);
        if self.spec.agent {
            self.profile(sheet);
            self.metadata(sheet);
            self.user_data(sheet);
        }
    }

    fn what(&self) -> String {
        format!("{} version {}", self.template.name, self.template.version)
    }

    /// A new version, and the group told to use it where it does not by itself.
    fn version_with(&self, data: &str) -> Command {
        let template = &self.template.name;
        let (flag, key) = match template.starts_with("lt-") {
            true => ("launch-template-id", "LaunchTemplateId"),
            false => ("launch-template-name", "LaunchTemplateName"),
        };
        let made = aws("ec2 create-launch-template-version")
            .with(flag, template)
            .with("source-version", &self.template.version)
            .with("launch-template-data", data);
        match self.follows {
            true => made,
            false => made
                .and("&& aws autoscaling update-auto-scaling-group")
                .with("auto-scaling-group-name", &self.spec.name)
                .with(
                    "launch-template",
                    format!("{key}={template},Version=$Latest"),
                ),
        }
    }

    fn mappings(&self, sheet: &mut Sheet) {
        let what = self.what();
        let data = self
            .template
            .mappings
            .iter()
            .filter(|mapping| mapping.is_volume && !ROOTS.contains(&mapping.device.as_str()));
        let mut sound = true;
        for mapping in data {
            let taken = self.spec.volumes.iter().find(|v| is_at(v, mapping));
            let goes = match mapping.delete_on_termination {
                true => "it goes with its instance",
                false => "it stays when its instance goes, and nobody looks after it",
            };
            match taken {
                Some(volume) => sheet.wrong(
                    "template-volumes",
                    format!(
                        "{what} makes a volume at {}, where {} belongs",
                        mapping.device, volume.name
                    ),
                    "every new instance comes with an empty volume there: the data cannot be attached",
                    self.without(mapping),
                ),
                None => sheet.warning(
                    "template-volumes",
                    format!("{what} makes a volume at {}; {goes}", mapping.device),
                    "what is written there does not follow the group",
                    self.without(mapping),
                ),
            }
            sound = false;
        }
        if sound {
            let says = format!("{what} makes no data volume: they follow by themselves");
            sheet.right("template-volumes", says);
        }
    }

    /// The mappings are replaced as a whole, so whatever else is among them has
    /// to be said again.
    fn without(&self, unwanted: &Mapping) -> Command {
        let others = self.template.mappings.iter().filter(|m| *m != unwanted);
        let mut mappings: Vec<String> = others.map(again).collect();
        let kept = mappings.len();
        if kept == 0 {
            mappings.push(format!(
                "{{\"DeviceName\":\"{}\",\"NoDevice\":\"\"}}",
                unwanted.device
            ));
        }
        let data = format!("{{\"BlockDeviceMappings\":[{}]}}", mappings.join(","));
        let command = self.version_with(&data);
        match kept {
            0 => command,
            _ => command.note("add the size and type that they have now"),
        }
    }

    /// What rehome knows its volumes by must be on none that a launch makes.
    fn tags(&self, sheet: &mut Sheet) {
        let all = self.template.volume_tags.iter().map(String::as_str);
        let ours: Vec<&str> = all.filter(|key| key.starts_with(tags::PREFIX)).collect();
        if !ours.is_empty() {
            sheet.wrong(
                "template-tags",
                format!("{} tags new volumes with {}", self.what(), ours.join(", ")),
                "the root volume of every new instance would count as data of the group",
                self.version_with(
                    "{\"TagSpecifications\":[{\"ResourceType\":\"volume\",\"Tags\":[{\"Key\":\"Name\",\"Value\":\"root\"}]}]}",
                ),
            );
        }
    }

    /// A member that does not let go is stopped before its data is captured.
    fn stop(&self, sheet: &mut Sheet) {
        if self.template.bars_stop {
            sheet.wrong(
                "template-stop",
                format!("{} protects new instances from being stopped", self.what()),
                "a member that does not let go by itself cannot be fenced but by its end",
                self.version_with("{\"DisableApiStop\":false}"),
            );
        } else if self.template.is_spot || self.mixes_spot {
            let who = match self.template.is_spot {
                true => self.what(),
                false => "the group's policy of mixed instances".to_owned(),
            };
            sheet.warning(
                "template-stop",
                format!("{who} asks for Spot instances, which EC2 does not stop"),
                "a member that does not let go by itself is fenced by its end alone: where the \
                 group launches before it terminates, its heir waits in vain",
                "launch On-Demand instances, and terminate before launching",
            );
        } else {
            sheet.right(
                "template-stop",
                "a new instance that does not let go can be stopped".to_owned(),
            );
        }
    }

    fn profile(&self, sheet: &mut Sheet) {
        match &self.template.profile {
            Some(profile) => sheet.right("template-role", format!("new instances are {profile}")),
            None => sheet.wrong(
                "template-role",
                format!("{} gives new instances no role", self.what()),
                "the heir has no credentials: it can ask for nothing",
                self.version_with("{\"IamInstanceProfile\":{\"Name\":\"PROFILE\"}}")
                    .note("it has to allow what `rehome iam-policy` prints"),
            ),
        }
    }

    fn metadata(&self, sheet: &mut Sheet) {
        let options =
            "{\"MetadataOptions\":{\"HttpEndpoint\":\"enabled\",\"HttpTokens\":\"required\"}}";
        let what = self.what();
        if self.template.metadata_endpoint == Some(false) {
            sheet.wrong(
                "template-metadata",
                format!("{what} turns the instance metadata service off"),
                "the heir cannot learn who it is, and has no credentials",
                self.version_with(options),
            );
        } else if self.template.metadata_tokens_required == Some(false) {
            sheet.warning(
                "template-metadata",
                format!("{what} lets the metadata service answer without a token (version 1)"),
                "a fault in the workload that makes it fetch addresses gives its role away",
                self.version_with(options),
            );
        } else {
            let tokens = match self.template.metadata_tokens_required {
                Some(true) => ", which wants a token (version 2)",
                _ => "; whether it wants a token, the image or the account decides",
            };
            let says = format!("new instances have their metadata service{tokens}");
            sheet.right("template-metadata", says);
        }
    }

    fn user_data(&self, sheet: &mut Sheet) {
        let what = self.what();
        let text = self.template.user_data.as_ref();
        if text.is_some_and(|text| text.contains("rehome")) {
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
}

/// `/dev/sdf` and `/dev/xvdf` are one place.
fn is_at(volume: &VolumeSpec, mapping: &Mapping) -> bool {
    let place = |device: &str| device.replacen("/dev/xvd", "/dev/sd", 1);
    place(&volume.device) == place(&mapping.device)
}

fn again(mapping: &Mapping) -> String {
    let (device, goes) = (&mapping.device, mapping.delete_on_termination);
    match mapping.is_volume {
        true => {
            format!("{{\"DeviceName\":\"{device}\",\"Ebs\":{{\"DeleteOnTermination\":{goes}}}}}")
        }
        false => format!("{{\"DeviceName\":\"{device}\",\"NoDevice\":\"\"}}"),
    }
}
