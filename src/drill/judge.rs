//! Is everything in its place? By the region's own truth, not by what a runner
//! says.

use std::collections::{BTreeMap, BTreeSet};

use rehome_region::model::{AttachmentState, InstanceState};
use rehome_region::{Entry, Truth, What};

use crate::spec::{GroupSpec, Kind, VolumeSpec};
use crate::tags;

/// The zones that are dark now.
pub fn dark_zones(entries: &[Entry]) -> BTreeSet<String> {
    let mut dark = BTreeSet::new();
    for entry in entries {
        match &entry.what {
            What::ZoneDown { zone } => {
                dark.insert(zone.clone());
            }
            What::ZoneUp { zone } => {
                dark.remove(zone);
            }
            _ => {}
        }
    }
    dark
}

/// The one instance that should have the belongings now; none if that cannot be
/// said.
pub fn holder(truth: &Truth, spec: &GroupSpec, dark: &BTreeSet<String>) -> Option<String> {
    match &spec.kind {
        Kind::Asg => {
            let group = truth.groups.get(spec.name.as_str())?;
            let serving = group.members.values().filter(|member| {
                member.lifecycle.as_str() == "InService"
                    && member.healthy
                    && !dark.contains(&member.zone)
            });
            let ids: Vec<&str> = serving.map(|member| member.instance.as_str()).collect();
            if let [one] = ids.as_slice() {
                Some((*one).to_owned())
            } else {
                None
            }
        }
        Kind::Pair { members } => {
            let running = members
                .iter()
                .map(|member| member.as_str())
                .filter(|member| {
                    let instance = truth.instances.get(*member);
                    instance.is_some_and(|i| {
                        i.state == InstanceState::Running && !dark.contains(&i.zone)
                    })
                });
            match running.collect::<Vec<_>>().as_slice() {
                [] => None,
                [one] => Some((*one).to_owned()),
                both @ [first, ..] => Some(noted(truth, both).unwrap_or(first).to_owned()),
            }
        }
    }
}

/// The holder of a pair by the newest note: of its appointment on the members, or
/// of its term on the volumes that are in use.
fn noted<'a>(truth: &'a Truth, members: &[&str]) -> Option<&'a str> {
    let appointments = members
        .iter()
        .filter_map(|member| Some(&truth.instances.get(*member)?.tags));
    let in_use = |tags: &&BTreeMap<String, String>| {
        tags.get(tags::STATE)
            .is_some_and(|state| state == tags::STATE_ACTIVE)
    };
    let terms = truth.volumes.values().map(|volume| &volume.tags);
    let notes = appointments.chain(terms.filter(in_use)).filter_map(|tags| {
        let holder = tags.get(tags::HOLDER)?.as_str();
        members
            .contains(&holder)
            .then_some((tags.get(tags::SINCE)?, holder))
    });
    notes.max().map(|(_, holder)| holder)
}

/// What is not in its place, in words; nothing if all is settled.
pub fn unsettled(
    truth: &Truth,
    spec: &GroupSpec,
    dark: &BTreeSet<String>,
    addresses: &[String],
) -> Vec<String> {
    let mut open = open_actions(truth, spec, dark);
    let Some(holder) = holder(truth, spec, dark) else {
        open.push("no single member is in service".to_owned());
        return open;
    };
    for volume in &spec.volumes {
        if let Err(why) = in_place(truth, spec, volume, &holder) {
            open.push(why);
        }
    }
    for allocation in addresses {
        let home = truth
            .addresses
            .get(allocation)
            .and_then(|address| address.instance.as_deref());
        if home != Some(holder.as_str()) {
            open.push(format!(
                "{allocation} is at {}, not at {holder}",
                home.unwrap_or("nobody")
            ));
        }
    }
    open.extend(strangers(truth, spec, &holder, dark));
    let units = truth
        .instances
        .get(&holder)
        .map(|i| i.guest.units.clone())
        .unwrap_or_default();
    for unit in &spec.workload.units {
        if !units.get(unit).copied().unwrap_or(false) {
            open.push(format!("{unit} does not run on {holder}"));
        }
    }
    open
}

/// Whoever else still writes to a volume of the group, outside of the dark.
fn strangers(
    truth: &Truth,
    spec: &GroupSpec,
    holder: &str,
    dark: &BTreeSet<String>,
) -> Vec<String> {
    let ours = truth.volumes.values().filter(|volume| {
        volume.tags.get(tags::GROUP).map(String::as_str) == Some(spec.name.as_str())
            && !dark.contains(&volume.zone)
    });
    ours.filter_map(|volume| {
        let writer = volume.writer.as_ref()?;
        (writer.instance != holder)
            .then(|| format!("{} still writes to {}", writer.instance, volume.id))
    })
    .collect()
}

/// Lifecycle actions that nobody has closed yet, outside of the dark.
fn open_actions(truth: &Truth, spec: &GroupSpec, dark: &BTreeSet<String>) -> Vec<String> {
    let group = truth.groups.get(spec.name.as_str());
    let members = group
        .map(|group| group.members.values())
        .into_iter()
        .flatten();
    members
        .filter(|member| !dark.contains(&member.zone))
        .filter(|member| {
            member.lifecycle.as_str() != "InService"
                && !member.lifecycle.as_str().ends_with(":Proceed")
        })
        .map(|member| format!("{} is {}", member.instance, member.lifecycle.as_str()))
        .collect()
}

fn in_place(
    truth: &Truth,
    spec: &GroupSpec,
    volume: &VolumeSpec,
    holder: &str,
) -> Result<(), String> {
    let name = &volume.name;
    let here = truth.volumes.values().find(|candidate| {
        let tags = &candidate.tags;
        tags.get(tags::GROUP).map(String::as_str) == Some(spec.name.as_str())
            && tags.get(tags::VOLUME).map(String::as_str) == Some(name.as_str())
            && candidate
                .attachment
                .as_ref()
                .is_some_and(|a| a.instance == holder)
    });
    let Some(here) = here else {
        return Err(format!("{holder} has no volume {name}"));
    };
    let attached = here.attachment.as_ref().is_some_and(|attachment| {
        attachment.state == AttachmentState::Attached && attachment.device == volume.device
    });
    if !attached {
        return Err(format!(
            "{} is not attached to {holder} as {}",
            here.id, volume.device
        ));
    }
    if let Some(path) = &volume.mount {
        let path = path.to_string_lossy().into_owned();
        let mounts = truth.instances.get(holder).map(|i| &i.guest.mounts);
        if mounts.and_then(|mounts| mounts.get(&path)) != Some(&here.id) {
            return Err(format!("{} is not mounted at {path}", here.id));
        }
    }
    if here.tags.get(tags::STATE).map(String::as_str) != Some(tags::STATE_ACTIVE) {
        return Err(format!("{} is not noted as active", here.id));
    }
    marked(truth, spec, name.as_str(), &here.tags)
}

/// Does the group's marker name the epoch of the volume in use?
fn marked(
    truth: &Truth,
    spec: &GroupSpec,
    name: &str,
    tags: &BTreeMap<String, String>,
) -> Result<(), String> {
    let Some(group) = truth.groups.get(spec.name.as_str()) else {
        return Ok(());
    };
    let marker = group.tags.get(&format!("{}{name}", tags::MARKER_PREFIX));
    let epoch = tags.get(tags::EPOCH);
    if marker.is_some() && marker == epoch {
        return Ok(());
    }
    Err(format!(
        "the group's marker of {name} is {marker:?}, its volume's epoch {epoch:?}"
    ))
}
