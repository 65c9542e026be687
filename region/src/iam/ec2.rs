//! What do calls of EC2 touch?
//!
//! The service authorization reference marks some resources of an action as
//! optional (the instance when a volume is detached, the interface when an
//! address moves). All that a call touches are asked about here: whoever passes
//! this passes every reading of it. What does not exist is not asked about; the
//! service itself says so.

use super::ask::{Question, arn};
use crate::Region;
use crate::ec2::{ids::Kind, snapshots};
use crate::model::Tags;
use crate::wire::query::Params;

/// EC2's own key, whose policy lets everyone in the account use it.
const DEFAULT_KEY: &str = "alias/aws/ebs";

pub(crate) fn questions(region: &Region, action: &str, params: &Params) -> Vec<Question> {
    let call = Call {
        region,
        action: format!("ec2:{action}"),
        params,
    };
    match action {
        "CreateVolume" => call.create_volume(),
        "CreateSnapshot" => call.create_snapshots(call.one("VolumeId")),
        "CreateSnapshots" => call.create_set(),
        "AttachVolume" => call.attach(),
        "DetachVolume" => call.detach(),
        "DeleteVolume" => call.about(call.one("VolumeId")),
        "DeleteSnapshot" => call.about(call.one("SnapshotId")),
        "StartInstances" | "StopInstances" | "TerminateInstances" => {
            call.about(call.params.list("InstanceId"))
        }
        "DescribeInstanceAttribute" | "ModifyInstanceAttribute" => {
            call.about(call.one("InstanceId"))
        }
        "AssociateAddress" => call.associate(),
        "ReleaseAddress" => call.about(call.one("AllocationId")),
        "CreateTags" | "DeleteTags" => call.tag(),
        _ => vec![call.ask("*".to_owned())],
    }
}

struct Call<'a> {
    region: &'a Region,
    action: String,
    params: &'a Params,
}

impl Call<'_> {
    fn ask(&self, resource: String) -> Question {
        let name = self.region.settings.name.clone();
        Question::new(self.region, &self.action, resource).with("ec2:Region", [name])
    }

    fn one(&self, parameter: &str) -> Vec<String> {
        let id = self.params.get(parameter);
        id.map(str::to_owned).into_iter().collect()
    }

    /// One question for each of these that exists.
    fn about(&self, ids: impl IntoIterator<Item = String>) -> Vec<Question> {
        let existing = |id: String| {
            let kind = Kind::of(&id)?;
            let tags = self.tags(kind, &id)?;
            let question = self.ask(self.arn(kind, &id));
            Some(question.tagged("ec2", tags))
        };
        ids.into_iter().filter_map(existing).collect()
    }

    fn arn(&self, kind: Kind, id: &str) -> String {
        let resource = format!("{}/{id}", kind.resource_type());
        match kind {
            // The one kind whose ARNs have no account.
            Kind::Snapshot => format!("arn:aws:ec2:{}::{resource}", self.region.settings.name),
            _ => arn(self.region, "ec2", &resource),
        }
    }

    fn tags(&self, kind: Kind, id: &str) -> Option<&Tags> {
        let model = &self.region.model;
        match kind {
            Kind::Instance => model.instances.get(id).map(|it| &it.tags),
            Kind::Volume => model.volumes.get(id).map(|it| &it.tags),
            Kind::Snapshot => model.snapshots.get(id).map(|it| &it.tags),
            Kind::Allocation => model.addresses.get(id).map(|it| &it.tags),
        }
    }

    /// To make one of this kind, and to tag it in the same call.
    fn make(&self, kind: Kind) -> Vec<Question> {
        let mut tags = Tags::new();
        for given in self.params.structures("TagSpecification") {
            if given.get("ResourceType") == Some(kind.resource_type()) {
                tags.extend(pairs(&given));
            }
        }
        let new = self.arn(kind, "*");
        let mut questions = vec![self.ask(new.clone()).bringing(&tags)];
        if !tags.is_empty() {
            let by = self.action.trim_start_matches("ec2:").to_owned();
            let mut tagging = self.ask(new).bringing(&tags).with("ec2:CreateAction", [by]);
            tagging.action = "ec2:CreateTags".to_owned();
            questions.push(tagging);
        }
        questions
    }

    fn create_volume(&self) -> Vec<Question> {
        let mut questions = self.make(Kind::Volume);
        let source = self.one("SnapshotId");
        let snapshot = source
            .first()
            .and_then(|id| self.region.model.snapshots.get(id));
        let key = self.params.get("KmsKeyId");
        let key = key.or_else(|| snapshot.and_then(|s| s.kms_key.as_deref()));
        if let Some(key) = key {
            let mut actions = vec!["kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"];
            if snapshot.is_some_and(|s| s.encrypted) {
                actions.push("kms:Decrypt");
            }
            questions.extend(actions.into_iter().filter_map(|action| {
                let question = self.of_key(action, key)?;
                Some(Question {
                    makes_volume: true,
                    ..question
                })
            }));
        }
        questions.extend(self.about(source));
        questions
    }

    fn create_snapshots(&self, volumes: Vec<String>) -> Vec<Question> {
        let mut questions = self.about(volumes);
        questions.extend(self.make(Kind::Snapshot));
        questions
    }

    fn create_set(&self) -> Vec<Question> {
        let instance = self.one("InstanceSpecification.InstanceId");
        let named = instance.first().map(String::as_str).unwrap_or_default();
        let volumes = snapshots::set_volumes(self.region, self.params, named);
        let mut questions = self.create_snapshots(volumes.unwrap_or_default());
        questions.extend(self.about(instance));
        questions
    }

    fn attach(&self) -> Vec<Question> {
        let volume = self.one("VolumeId");
        let mut questions = self.about(volume.iter().cloned().chain(self.one("InstanceId")));
        let volume = volume
            .first()
            .and_then(|id| self.region.model.volumes.get(id));
        if let Some(key) = volume.and_then(|volume| volume.kms_key.as_deref()) {
            let grant = self.of_key("kms:CreateGrant", key);
            questions
                .extend(grant.map(|of| of.with("kms:GrantIsForAWSResource", ["true".to_owned()])));
        }
        questions
    }

    fn detach(&self) -> Vec<Question> {
        let volumes = self.one("VolumeId");
        let mut instance = self.one("InstanceId");
        if instance.is_empty() {
            let volume = volumes
                .first()
                .and_then(|id| self.region.model.volumes.get(id));
            let on = volume.and_then(|volume| volume.attachment.as_ref());
            instance.extend(on.map(|attachment| attachment.instance.clone()));
        }
        self.about(volumes.into_iter().chain(instance))
    }

    fn associate(&self) -> Vec<Question> {
        let ip = self.params.get("PublicIp");
        let mut addresses = self.region.model.addresses.values();
        let by_ip = addresses.find(|address| ip == Some(&address.public_ip));
        let by_ip = by_ip.map(|address| address.allocation.clone());
        let mut questions = self.about(self.one("AllocationId").into_iter().chain(by_ip));
        let mut instances = self.region.model.instances.values();
        let (by_id, by_interface) = (
            self.params.get("InstanceId"),
            self.params.get("NetworkInterfaceId"),
        );
        let target = instances.find(|instance| {
            by_id == Some(&instance.id) || by_interface == Some(&instance.interface)
        });
        if let Some(target) = target {
            questions.extend(self.about([target.id.clone()]));
            let interface = format!("network-interface/{}", target.interface);
            questions.push(self.ask(arn(self.region, "ec2", &interface)));
        }
        questions
    }

    fn tag(&self) -> Vec<Question> {
        let tags = pairs(self.params);
        let about = self.about(self.params.list("ResourceId"));
        about.into_iter().map(|of| of.bringing(&tags)).collect()
    }

    /// What EC2 asks KMS in the caller's name; nothing for its own key.
    fn of_key(&self, action: &str, key: &str) -> Option<Question> {
        if key.ends_with(DEFAULT_KEY) {
            return None;
        }
        let alias = key
            .find("alias/")
            .and_then(|at| key.get(at..))
            .map(str::to_owned);
        let resource = match &alias {
            // Which key it stands for nobody here knows.
            Some(alias) => arn(
                self.region,
                "kms",
                &format!("key/{}", alias.replace('/', "-")),
            ),
            None if key.starts_with("arn:") => key.to_owned(),
            None => arn(self.region, "kms", &format!("key/{key}")),
        };
        let via = format!("ec2.{}.amazonaws.com", self.region.settings.name);
        let question = Question::new(self.region, action, resource).with("kms:ViaService", [via]);
        Some(match alias {
            Some(alias) => question.with("kms:ResourceAliases", [alias]),
            None => question,
        })
    }
}

fn pairs(params: &Params) -> Tags {
    let tags = params.structures("Tag");
    let pair = |tag: &Params| {
        let value = tag.get("Value").unwrap_or_default();
        Some((tag.get("Key")?.to_owned(), value.to_owned()))
    };
    tags.iter().filter_map(pair).collect()
}
