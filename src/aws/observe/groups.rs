//! What does Auto Scaling say of the group, and what stands for it in a pair?

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::AutoScalingGroup;

use super::super::call::Ask;
use super::super::{Aws, AwsError, convert, tagging};
use super::instances::Looked;
use super::{understood, unknown};
use crate::ids::{Epoch, GroupName, InstanceId, VolumeName, Zone};
use crate::spec::{GroupSpec, Kind};
use crate::tags;
use crate::world::{Group, Hook, Lifecycle, Member, Seen, Term};

/// As many names as one call takes.
pub(super) const NAMES_PER_CALL: usize = 100;

const DESCRIBE_INSTANCES: &str = "ec2:DescribeInstances";

impl Aws {
    pub(in crate::aws) async fn describe_groups(
        &self,
        names: &[GroupName],
    ) -> Result<Vec<AutoScalingGroup>, AwsError> {
        let doing = match names {
            [one] => format!("look at the Auto Scaling group {one}"),
            many => format!("look at {} Auto Scaling groups", many.len()),
        };
        let ask = Ask::new("autoscaling:DescribeAutoScalingGroups", doing);
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = self
                .ask(&ask, || {
                    self.autoscaling
                        .describe_auto_scaling_groups()
                        .set_auto_scaling_group_names(Some(
                            names.iter().map(ToString::to_string).collect(),
                        ))
                        .max_records(100)
                        .set_next_token(next.clone())
                })
                .await?;
            found.extend(page.auto_scaling_groups.unwrap_or_default());
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// The group's hooks, asked for now and then only.
    pub(super) async fn hooks(&self, group: &GroupName) -> Result<Vec<Hook>, AwsError> {
        if let Some(hooks) = self.memory.hooks(group) {
            return Ok(hooks);
        }
        let ask = Ask::new(
            "autoscaling:DescribeLifecycleHooks",
            format!("look at the lifecycle hooks of {group}"),
        );
        let answer = self
            .ask(&ask, || {
                self.autoscaling
                    .describe_lifecycle_hooks()
                    .auto_scaling_group_name(group.as_str())
            })
            .await?;
        let read = answer.lifecycle_hooks();
        if let Some(of) = read.iter().find_map(|of| of.auto_scaling_group_name())
            && of != group.as_str()
        {
            let problem = format!("the answer is about the group {of}");
            return Err(AwsError::garbled(&ask.doing, ask.action, problem));
        }
        let hooks: Vec<Hook> = read.iter().filter_map(convert::hook).collect();
        self.memory.keep_hooks(group, &hooks);
        Ok(hooks)
    }

    pub(super) async fn see_group(&self, name: &GroupName) -> Seen<Group> {
        let names = [name.clone()];
        let (described, hooks) = tokio::join!(self.describe_groups(&names), self.hooks(name));
        let described = match described {
            Ok(described) => described,
            Err(error) => return unknown(&error),
        };
        let Some(described) = described.iter().find(|of| is_named(of, name)) else {
            return Seen::Unknown(absent(name));
        };
        match (convert::group(described), hooks) {
            (Ok(group), Ok(hooks)) => Seen::Known(Group { hooks, ..group }),
            (Ok(_), Err(error)) => unknown(&error),
            (Err(problem), _) => understood(Err(problem)),
        }
    }
}

impl Aws {
    /// The markers of a pair, and the newest appointment, on those members that can be
    /// read.
    pub(in crate::aws) async fn pair_now(
        &self,
        members: &[InstanceId],
    ) -> Result<(BTreeMap<VolumeName, Epoch>, Option<Term>), AwsError> {
        let doing = "read who holds the pair, and how new its data is";
        let looked = self.look_at_pair(doing, members).await?;
        let odd = |problem| AwsError::odd(doing, DESCRIBE_INSTANCES, problem);
        let markers = highest_markers(members, &looked).map_err(odd)?;
        let all = appointments(members, &looked).map_err(odd)?;
        Ok((markers, newest(&all).cloned()))
    }

    /// That nobody is appointed, or nothing marked, is not said by members of which
    /// none can be read.
    async fn look_at_pair(&self, doing: &str, members: &[InstanceId]) -> Result<Looked, AwsError> {
        let looked = self
            .look_at_instances(&members.iter().cloned().collect())
            .await;
        match looked.why_none() {
            None => Ok(looked),
            Some(why) => Err(AwsError::garbled(doing, DESCRIBE_INSTANCES, why)),
        }
    }
}

pub(super) fn is_named(of: &AutoScalingGroup, name: &GroupName) -> bool {
    of.auto_scaling_group_name() == Some(name.as_str())
}

pub(super) fn absent(name: &GroupName) -> String {
    format!("there is no Auto Scaling group {name} in this account and region")
}

/// A pair has no Auto Scaling group: its members are configured, and its
/// markers stand on them.
pub(super) fn of_pair(
    spec: &GroupSpec,
    looked: &Looked,
    last: Option<&Seen<Group>>,
) -> Seen<Group> {
    if let (Some(last), false) = (last, looked.is_fresh()) {
        return last.clone();
    }
    let Kind::Pair { members } = &spec.kind else {
        return Seen::Unknown(format!("{} is no pair", spec.name));
    };
    let markers = match highest_markers(members, looked) {
        Ok(markers) => markers,
        Err(problem) => return understood(Err(problem)),
    };
    let unread: BTreeSet<_> = members.iter().filter(|id| looked.is_unread(id)).collect();
    // A marker stands on both members. If one cannot be read and the other has
    // none, "never initialised" would be a guess.
    let unmarked = spec
        .volumes
        .iter()
        .any(|volume| !markers.contains_key(&volume.name));
    if unread.len() == members.len() || (unmarked && !unread.is_empty()) {
        return Seen::Unknown(looked.why_unread());
    }
    let appointments = match appointments(members, looked) {
        Ok(appointments) => appointments,
        Err(problem) => return understood(Err(problem)),
    };
    let appointed = newest(&appointments).cloned();
    let unnoted = appointments
        .into_iter()
        .filter(|(_, term)| *term != appointed)
        .map(|(member, _)| member)
        .collect();
    let last = last.and_then(Seen::known);
    let moves = members
        .iter()
        .filter_map(|id| {
            Some(tagging::moves(
                looked.tags(id)?.get(tags::MOVES).map(String::as_str),
            ))
        })
        .max_by_key(|moves| moves.last().copied())
        .unwrap_or_default();
    let members = members
        .iter()
        .filter_map(|id| Some((id.clone(), pair_member(id, looked, last)?)))
        .collect();
    Seen::Known(Group {
        desired: 1,
        members,
        markers,
        hooks: Vec::new(),
        appointed,
        unnoted,
        moves,
    })
}

/// Whom each member names that can be read.
fn appointments(
    members: &[InstanceId],
    looked: &Looked,
) -> Result<Vec<(InstanceId, Option<Term>)>, String> {
    let readable = members
        .iter()
        .filter_map(|member| Some((member, looked.tags(member)?)));
    readable
        .map(|(member, tags)| {
            let term = tagging::appointment(tags)
                .map_err(|problem| format!("instance {member}: {problem}"))?;
            Ok((member.clone(), term))
        })
        .collect()
}

fn newest(appointments: &[(InstanceId, Option<Term>)]) -> Option<&Term> {
    let noted = appointments.iter().filter_map(|(_, term)| term.as_ref());
    noted.max_by_key(|term| term.since)
}

fn highest_markers(
    members: &[InstanceId],
    looked: &Looked,
) -> Result<BTreeMap<VolumeName, Epoch>, String> {
    let mut highest = BTreeMap::new();
    for member in members {
        let Some(tags) = looked.tags(member) else {
            continue;
        };
        let tags = tags
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let read =
            tagging::markers(tags).map_err(|problem| format!("instance {member}: {problem}"))?;
        for (name, epoch) in read {
            let kept = highest.entry(name).or_insert(epoch);
            *kept = epoch.max(*kept);
        }
    }
    Ok(highest)
}

/// None where AWS says that there is no such instance.
fn pair_member(id: &InstanceId, looked: &Looked, last: Option<&Group>) -> Option<Member> {
    let zone = match looked.get(id) {
        Some(instance) => instance.zone.clone(),
        None if looked.is_unread(id) => last
            .and_then(|last| last.members.get(id))
            .map_or_else(|| Zone::from("unknown"), |member| member.zone.clone()),
        None => return None,
    };
    Some(Member {
        lifecycle: Lifecycle::InService,
        zone,
        healthy: true,
    })
}
