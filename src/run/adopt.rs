//! `rehome adopt`: what the present holder already has becomes the group's own.

use std::io::{self, IsTerminal as _};

use serde::Serialize;

use super::operate::{self, View};
use super::{Failure, ask, configuration, groups, print, print_json};
use crate::aws::{Adoption, Aws};
use crate::cli::Adopt;
use crate::ids::{InstanceId, VolumeId, VolumeName};
use crate::spec::VolumeSpec;
use crate::world::{AddressFound, Seen, Standing};

#[derive(Debug, Serialize)]
struct Report<'a> {
    group: &'a str,
    holder: &'a InstanceId,
    adopted: Vec<String>,
    newly_tagged: usize,
}

pub(super) async fn run(options: &Adopt) -> Result<(), Failure> {
    let config = configuration(options.configuration.config.as_deref())?;
    let specs = groups(config, Some(&options.group))?;
    if !options.yes && !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "nobody is there to ask; --yes adopts without asking".to_owned(),
        ));
    }
    let aws = Aws::from_env().await?;
    for view in operate::look(&aws, specs).await {
        let (holder, adoption) = proposal(&view).map_err(Failure::Failed)?;
        if !options.yes && !agreed(&view, &holder, &adoption)? {
            return Err(Failure::Failed("nothing was adopted".to_owned()));
        }
        let adopted = aws.adopt(&view.spec.name, &adoption).await?;
        if options.json {
            print_json(&Report {
                group: &view.group,
                holder: &holder,
                adopted: adopted.resources,
                newly_tagged: adopted.newly,
            })?;
        } else {
            print(&format!(
                "{}: {} now {} to the group ({} newly tagged)\n",
                view.group,
                adopted.resources.join(", "),
                if adopted.resources.len() == 1 {
                    "belongs"
                } else {
                    "belong"
                },
                adopted.newly
            ))?;
        }
    }
    Ok(())
}

/// What the holder has where the configuration says that the group's things are.
fn proposal(view: &View) -> Result<(InstanceId, Adoption), String> {
    let holder = holder(view)?;
    let instances = seen(&view.world.instances, "instances")?;
    let Some(instance) = instances.get(&holder) else {
        return Err(format!(
            "{holder} is a member of {}, but EC2 does not show it",
            view.group
        ));
    };
    let mut volumes = Vec::new();
    for spec in &view.spec.volumes {
        let Some(found) = instance.devices.get(&spec.device) else {
            let has: Vec<String> = instance
                .devices
                .iter()
                .map(|(at, id)| format!("{id} at {at}"))
                .collect();
            return Err(format!(
                "{holder} has no volume at {}, where {} belongs; it has {}",
                spec.device,
                spec.name,
                if has.is_empty() {
                    "none at all".to_owned()
                } else {
                    has.join(", ")
                }
            ));
        };
        refuse_second(view, spec, found)?;
        volumes.push((spec.name.clone(), found.clone()));
    }
    let mut addresses = Vec::new();
    for (index, found) in seen(&view.world.addresses, "addresses")?.iter().enumerate() {
        match found {
            AddressFound::One(address) => addresses.push(address.allocation.clone()),
            AddressFound::Missing => {
                return Err(format!(
                    "no Elastic IP fits address {} of the group",
                    index + 1
                ));
            }
            AddressFound::Ambiguous(_) => {
                return Err(format!(
                    "several Elastic IPs fit address {} of the group",
                    index + 1
                ));
            }
        }
    }
    Ok((holder, Adoption { volumes, addresses }))
}

fn holder(view: &View) -> Result<InstanceId, String> {
    let group = seen(&view.world.group, "group")?;
    let candidates = group
        .members
        .iter()
        .filter(|(_, member)| member.lifecycle.is_candidate());
    let mut candidates = candidates.map(|(id, _)| id);
    match (&view.plan.holder, candidates.next(), candidates.next()) {
        (Some(holder), _, _) | (None, Some(holder), None) => Ok(holder.clone()),
        (None, None, _) => Err(format!(
            "{} has no member that could be the holder",
            view.group
        )),
        (None, Some(_), Some(_)) => Err(format!(
            "{} has several members that could be the holder; adopt when it has one",
            view.group
        )),
    }
}

/// Two volumes that both claim to be the newest data would stop everything.
fn refuse_second(view: &View, spec: &VolumeSpec, found: &VolumeId) -> Result<(), String> {
    let volumes = seen(&view.world.volumes, "volumes")?;
    let plays = |name: &Option<VolumeName>| name.as_ref() == Some(&spec.name);
    let mut others = volumes.values().filter(|volume| {
        volume.id != *found && plays(&volume.name) && volume.standing != Standing::Superseded
    });
    match others.next() {
        None => Ok(()),
        Some(other) => Err(format!(
            "{} already is {} of {}; take its tag rehome:group off first if it is not",
            other.id, spec.name, view.group
        )),
    }
}

fn seen<'a, T>(part: &'a Seen<T>, what: &str) -> Result<&'a T, String> {
    match part {
        Seen::Known(value) => Ok(value),
        Seen::Unknown(why) => Err(format!("the {what} cannot be seen: {why}")),
    }
}

fn agreed(view: &View, holder: &InstanceId, adoption: &Adoption) -> Result<bool, Failure> {
    let mut question = format!("{holder} has, and {} would own from now on:\n", view.group);
    for (name, volume) in &adoption.volumes {
        question.push_str(&format!("  {volume} as {name}\n"));
    }
    for address in &adoption.addresses {
        question.push_str(&format!("  {address}\n"));
    }
    question.push_str("Only tags are written. Adopt? [y/N] ");
    ask(&question)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::ids::Epoch;
    use crate::plan::Plan;
    use crate::spec;
    use crate::world::{
        Group, Instance, InstanceState, Lifecycle, Member, Shape, Volume, VolumeState, World,
    };

    fn view() -> View {
        let text = "[[group]]\nname = \"orders-db\"\n[[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\n";
        let spec = spec::parse("x", text).unwrap().groups.remove(0);
        let member = Member {
            lifecycle: Lifecycle::InService,
            zone: "us-east-1a".into(),
            healthy: true,
        };
        let instance = Instance {
            state: InstanceState::Running,
            zone: "us-east-1a".into(),
            launched: Timestamp::UNIX_EPOCH,
            told_to_end: None,
            unstoppable: false,
            just_back: false,
            interface: None,
            devices: BTreeMap::from([("/dev/sdf".to_owned(), "vol-1".into())]),
        };
        let mut world = World::unseen();
        world.group = Seen::Known(Group {
            desired: 1,
            members: BTreeMap::from([("i-1".into(), member)]),
            ..Group::default()
        });
        world.instances = Seen::Known(BTreeMap::from([("i-1".into(), instance)]));
        world.volumes = Seen::Known(BTreeMap::new());
        world.addresses = Seen::Known(Vec::new());
        View {
            group: spec.name.to_string(),
            spec,
            settled: false,
            waits: Vec::new(),
            steps: Vec::new(),
            world,
            plan: Plan::default(),
        }
    }

    fn other(standing: Standing) -> Seen<BTreeMap<VolumeId, Volume>> {
        let volume = Volume {
            id: "vol-2".into(),
            name: Some("data".into()),
            epoch: Epoch(1),
            standing,
            state: VolumeState::Available,
            zone: "us-east-1a".into(),
            attachments: Vec::new(),
            source: None,
            shape: Shape::default(),
            created: Timestamp::UNIX_EPOCH,
            incident: None,
            tags: BTreeMap::new(),
        };
        Seen::Known(BTreeMap::from([("vol-2".into(), volume)]))
    }

    #[test]
    fn what_the_holder_has_at_the_device_is_proposed() {
        let (holder, adoption) = proposal(&view()).unwrap();
        assert_eq!(holder.as_str(), "i-1");
        assert_eq!(adoption.volumes, [("data".into(), "vol-1".into())]);
    }

    #[test]
    fn nothing_is_proposed_that_would_be_a_guess() {
        let mut view = view();
        view.world.instances = Seen::Unknown("no answer".to_owned());
        assert_eq!(
            proposal(&view).unwrap_err(),
            "the instances cannot be seen: no answer"
        );

        let mut view = self::view();
        view.spec
            .volumes
            .iter_mut()
            .for_each(|volume| volume.device = "/dev/sdg".to_owned());
        assert_eq!(
            proposal(&view).unwrap_err(),
            "i-1 has no volume at /dev/sdg, where data belongs; it has vol-1 at /dev/sdf"
        );

        let mut view = self::view();
        view.world.addresses = Seen::Known(vec![AddressFound::Missing]);
        assert_eq!(
            proposal(&view).unwrap_err(),
            "no Elastic IP fits address 1 of the group"
        );
    }

    #[test]
    fn a_second_volume_of_one_name_is_refused() {
        let mut view = view();
        view.world.volumes = other(Standing::Active(None));
        let says = proposal(&view).unwrap_err();
        assert!(
            says.starts_with("vol-2 already is data of orders-db"),
            "{says}"
        );
        view.world.volumes = other(Standing::Superseded);
        assert!(proposal(&view).is_ok());
    }
}
