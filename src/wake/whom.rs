//! Which of the configured groups are meant? AWS is asked only for what the
//! configuration cannot tell, and not again and again about strangers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Subject;
use crate::aws::{Aws, AwsError};
use crate::ids::{GroupName, InstanceId, SnapshotId, VolumeId};
use crate::spec::{Config, Kind};

/// Strangers are remembered this long: what is new may become ours soon.
const STRANGER_FOR: SignedDuration = SignedDuration::from_mins(5);
/// … and this many at most.
const MOST_STRANGERS: usize = 10_000;

/// The configured groups that are meant.
///
/// # Errors
/// When AWS does not tell whose an instance, a volume or a snapshot is.
pub async fn whom(
    aws: &Aws,
    config: &Config,
    subjects: &BTreeSet<Subject>,
) -> Result<BTreeSet<GroupName>, AwsError> {
    let (mut groups, unclear) = named(config, subjects);
    let owners = owners(aws, &unclear).await?;
    groups.extend(configured(config, owners.into_values()));
    Ok(groups)
}

/// What the configuration alone tells: the groups that are meant, and the
/// subjects of which only AWS knows whose they are.
pub fn named(
    config: &Config,
    subjects: &BTreeSet<Subject>,
) -> (BTreeSet<GroupName>, BTreeSet<Subject>) {
    let mut groups = BTreeSet::new();
    let mut unclear = BTreeSet::new();
    for subject in subjects {
        let mut meant: BTreeSet<GroupName> = config
            .groups
            .iter()
            .filter(|spec| match (subject, &spec.kind) {
                (Subject::Everyone, _) => true,
                (Subject::Group(name), _) => spec.name == *name,
                (Subject::Alarm(name), _) => spec.alarms.contains(name),
                (Subject::Instance(id), Kind::Pair { members }) => members.contains(id),
                _ => false,
            })
            .map(|spec| spec.name.clone())
            .collect();
        if meant.is_empty() && could_be_ours(config, subject) {
            unclear.insert(subject.clone());
        }
        groups.append(&mut meant);
    }
    (groups, unclear)
}

/// Is there a group that it could belong to?
fn could_be_ours(config: &Config, subject: &Subject) -> bool {
    let mut groups = config.groups.iter();
    match subject {
        Subject::Everyone | Subject::Group(_) | Subject::Alarm(_) => false,
        Subject::Instance(_) => groups.any(|spec| spec.kind == Kind::Asg),
        Subject::Volume(_) | Subject::Snapshot(_) => groups.any(|spec| !spec.volumes.is_empty()),
    }
}

/// Whose these are, of those that are anyone's.
async fn owners(
    aws: &Aws,
    subjects: &BTreeSet<Subject>,
) -> Result<BTreeMap<Subject, GroupName>, AwsError> {
    let (instances, volumes, snapshots) = by_kind(subjects);
    let (instances, volumes, snapshots) = tokio::join!(
        aws.groups_of_instances(&instances),
        aws.groups_of_volumes(&volumes),
        aws.groups_of_snapshots(&snapshots),
    );
    let instances = instances?.into_iter();
    let instances = instances.map(|(id, group)| (Subject::Instance(id), group));
    let volumes = volumes?.into_iter();
    let volumes = volumes.map(|(id, group)| (Subject::Volume(id), group));
    let snapshots = snapshots?.into_iter();
    let snapshots = snapshots.map(|(id, group)| (Subject::Snapshot(id), group));
    Ok(instances.chain(volumes).chain(snapshots).collect())
}

type ByKind = (
    BTreeSet<InstanceId>,
    BTreeSet<VolumeId>,
    BTreeSet<SnapshotId>,
);

fn by_kind(subjects: &BTreeSet<Subject>) -> ByKind {
    let mut kinds = ByKind::default();
    for subject in subjects {
        match subject {
            Subject::Instance(id) => kinds.0.insert(id.clone()),
            Subject::Volume(id) => kinds.1.insert(id.clone()),
            Subject::Snapshot(id) => kinds.2.insert(id.clone()),
            Subject::Everyone | Subject::Group(_) | Subject::Alarm(_) => continue,
        };
    }
    kinds
}

fn configured(
    config: &Config,
    names: impl Iterator<Item = GroupName>,
) -> impl Iterator<Item = GroupName> {
    names.filter(|name| config.groups.iter().any(|spec| spec.name == *name))
}

/// Whoever was asked about and belongs to nobody here: in an account full of
/// other instances an event costs no call as a rule.
#[derive(Debug, Default)]
pub struct Strangers {
    since: BTreeMap<Subject, Timestamp>,
}

impl Strangers {
    /// The groups that own these subjects, asking only about those that were
    /// not strangers a moment ago.
    ///
    /// # Errors
    /// When AWS does not tell; nobody is taken for a stranger then.
    pub async fn owners(
        &mut self,
        aws: &Aws,
        config: &Config,
        unclear: &BTreeSet<Subject>,
        now: Timestamp,
    ) -> Result<BTreeSet<GroupName>, AwsError> {
        self.forget(now);
        let asked: BTreeSet<Subject> = unclear
            .iter()
            .filter(|subject| !self.since.contains_key(subject))
            .cloned()
            .collect();
        let owners = owners(aws, &asked).await?;
        let ours: BTreeSet<GroupName> = configured(config, owners.values().cloned()).collect();
        for subject in asked {
            let stranger = owners.get(&subject).is_none_or(|name| !ours.contains(name));
            if stranger && self.since.len() < MOST_STRANGERS {
                self.since.insert(subject, now);
            }
        }
        Ok(ours)
    }

    fn forget(&mut self, now: Timestamp) {
        self.since
            .retain(|_, since| now.duration_since(*since).abs() < STRANGER_FOR);
    }
}
