//! What do the worlds of many groups look like? One describe for as many
//! groups as it takes: a thousand groups must not cost a thousand times.

use std::collections::{BTreeMap, BTreeSet};

use super::addresses::directory;
use super::groups::{self, NAMES_PER_CALL};
use super::instances::Looked;
use super::{Aws, named, snapshots, understood, unknown, volumes};
use crate::aws::convert;
use crate::ids::{GroupName, InstanceId};
use crate::spec::{AddressSpec, GroupSpec, Kind};
use crate::world::{AddressFound, Alarm, Group, Lifecycle, Seen, World};

/// As many values as one filter takes.
const VALUES_PER_FILTER: usize = 200;
const IDS_PER_CALL: usize = 200;

type ByGroup<T> = BTreeMap<GroupName, Seen<T>>;

impl Aws {
    /// A full look at every group, by tag alone. What it shows may be a moment
    /// old: it tells which group needs a runner, which then looks closely.
    pub async fn observe_all(&self, specs: &[GroupSpec]) -> BTreeMap<GroupName, World> {
        let alarms = alarms_in(specs);
        let (groups, volumes, snapshots, addresses, alarms) = tokio::join!(
            Box::pin(self.many_groups(specs)),
            Box::pin(self.many_volumes(specs)),
            Box::pin(self.many_snapshots(specs)),
            Box::pin(self.many_addresses(specs)),
            Box::pin(self.see_alarms(&alarms)),
        );
        let mut worlds: BTreeMap<GroupName, World> = BTreeMap::new();
        for spec in specs {
            let name = &spec.name;
            let volumes = part(&volumes, name);
            worlds.insert(
                name.clone(),
                World {
                    group: part(&groups, name),
                    instances: Seen::Known(BTreeMap::new()),
                    snapshots: snapshots::with_names(part(&snapshots, name), &volumes),
                    volumes,
                    addresses: part(&addresses, name),
                    alarms: alarms_of(spec, &alarms),
                    here: None,
                },
            );
        }
        self.add_instances(specs, &mut worlds).await;
        worlds
    }

    /// Another look at every group. Of those in `last`, only at what tells first
    /// that something happened: who is a member, and which alarms ring. At
    /// everything of the others.
    pub async fn observe_all_again(
        &self,
        specs: &[GroupSpec],
        last: &BTreeMap<GroupName, World>,
    ) -> BTreeMap<GroupName, World> {
        let (known, new): (Vec<_>, Vec<_>) = specs
            .iter()
            .cloned()
            .partition(|spec| last.contains_key(&spec.name));
        let (mut worlds, glanced) = tokio::join!(self.observe_all(&new), self.glance(&known, last));
        worlds.extend(glanced);
        worlds
    }

    async fn glance(
        &self,
        specs: &[GroupSpec],
        last: &BTreeMap<GroupName, World>,
    ) -> BTreeMap<GroupName, World> {
        let alarms = alarms_in(specs);
        let paired: BTreeSet<InstanceId> = specs.iter().flat_map(members).cloned().collect();
        let (groups, alarms, instances) = tokio::join!(
            self.many_groups(specs),
            self.see_alarms(&alarms),
            self.many_instances(paired.iter()),
        );
        let mut worlds = BTreeMap::new();
        for spec in specs {
            let Some(mut world) = last.get(&spec.name).cloned() else {
                continue;
            };
            match &spec.kind {
                Kind::Asg => world.group = part(&groups, &spec.name),
                Kind::Pair { members } => {
                    let mine = instances.only(&members.iter().cloned().collect());
                    world.group = groups::of_pair(spec, &mine, None);
                    world.instances = mine.on_top_of(&world.instances).seen();
                }
            }
            world.alarms = alarms_of(spec, &alarms);
            worlds.insert(spec.name.clone(), world);
        }
        worlds
    }

    async fn many_instances<'a>(&self, ids: impl Iterator<Item = &'a InstanceId>) -> Looked {
        let ids: Vec<&InstanceId> = ids.collect();
        let mut looked = Looked::default();
        for ids in ids.chunks(IDS_PER_CALL) {
            let ids = ids.iter().map(|id| (*id).clone()).collect();
            looked.extend(self.look_at_instances(&ids).await);
        }
        looked
    }

    async fn add_instances(&self, specs: &[GroupSpec], worlds: &mut BTreeMap<GroupName, World>) {
        let mut wanted: BTreeMap<&GroupName, BTreeSet<InstanceId>> = BTreeMap::new();
        for spec in specs {
            if let Some(world) = worlds.get(&spec.name) {
                let ids = named(spec, world.group.known(), &world.volumes, &world.addresses);
                wanted.insert(&spec.name, ids);
            }
        }
        let looked = self.many_instances(wanted.values().flatten()).await;
        for spec in specs {
            let ids = wanted.remove(&spec.name).unwrap_or_default();
            let mine = looked.only(&ids);
            if let Some(world) = worlds.get_mut(&spec.name) {
                if matches!(spec.kind, Kind::Pair { .. }) {
                    world.group = groups::of_pair(spec, &mine, None);
                }
                world.instances = mine.seen();
            }
        }
    }

    async fn many_groups(&self, specs: &[GroupSpec]) -> ByGroup<Group> {
        let scaled = specs.iter().filter(|spec| spec.kind == Kind::Asg);
        let names: Vec<GroupName> = scaled.map(|spec| spec.name.clone()).collect();
        let mut seen = ByGroup::new();
        for names in names.chunks(NAMES_PER_CALL) {
            let described = self.describe_groups(names).await;
            for name in names {
                let group = match &described {
                    Err(error) => unknown(error),
                    Ok(all) => match all.iter().find(|of| groups::is_named(of, name)) {
                        None => Seen::Unknown(groups::absent(name)),
                        Some(of) => understood(convert::group(of)),
                    },
                };
                let group = self.with_hooks(name, group).await;
                seen.insert(name.clone(), group);
            }
        }
        seen
    }

    /// Hooks cost one call for each group, and matter only while a member
    /// comes or goes.
    async fn with_hooks(&self, name: &GroupName, group: Seen<Group>) -> Seen<Group> {
        let Seen::Known(mut group) = group else {
            return group;
        };
        let moves = |lifecycle: &Lifecycle| *lifecycle != Lifecycle::InService;
        let hooks = if group
            .members
            .values()
            .any(|member| moves(&member.lifecycle))
        {
            self.hooks(name).await
        } else {
            Ok(self.memory.hooks(name).unwrap_or_default())
        };
        match hooks {
            Err(error) => unknown(&error),
            Ok(hooks) => {
                group.hooks = hooks;
                Seen::Known(group)
            }
        }
    }

    async fn many_volumes(&self, specs: &[GroupSpec]) -> BTreeMap<GroupName, volumes::Shown> {
        let mut seen = ByGroup::new();
        for names in with_volumes(specs).chunks(VALUES_PER_FILTER) {
            let read = self.volumes_tagged(names).await;
            for name in names {
                let mine = match &read {
                    Err(error) => unknown(error),
                    Ok(read) => understood(volumes::sorted(name, read)),
                };
                seen.insert(name.clone(), mine);
            }
        }
        seen
    }

    async fn many_snapshots(&self, specs: &[GroupSpec]) -> BTreeMap<GroupName, snapshots::Shown> {
        let mut seen = ByGroup::new();
        for names in with_volumes(specs).chunks(VALUES_PER_FILTER) {
            let read = self.snapshots_tagged(names).await;
            for name in names {
                let mine = match &read {
                    Err(error) => unknown(error),
                    Ok(read) => understood(snapshots::sorted(name, read)),
                };
                seen.insert(name.clone(), mine);
            }
        }
        seen
    }

    async fn many_addresses(&self, specs: &[GroupSpec]) -> ByGroup<Vec<AddressFound>> {
        let all: Vec<AddressSpec> = specs
            .iter()
            .flat_map(|spec| spec.addresses.clone())
            .collect();
        let mut read = Vec::new();
        let mut failed = None;
        for some in all.chunks(IDS_PER_CALL) {
            match self.directory(some).await {
                Ok(more) => read.extend(more),
                Err(error) => failed = Some(error),
            }
        }
        let directory = match failed {
            None => understood(directory(&read)),
            Some(error) => unknown(&error),
        };
        let found = |spec: &GroupSpec| match &directory {
            Seen::Known(directory) => Seen::Known(directory.find(&spec.addresses)),
            Seen::Unknown(why) if !spec.addresses.is_empty() => Seen::Unknown(why.clone()),
            Seen::Unknown(_) => Seen::Known(Vec::new()),
        };
        specs
            .iter()
            .map(|spec| (spec.name.clone(), found(spec)))
            .collect()
    }
}

fn alarms_in(specs: &[GroupSpec]) -> Vec<String> {
    let alarms: BTreeSet<&String> = specs.iter().flat_map(|spec| &spec.alarms).collect();
    alarms.into_iter().cloned().collect()
}

/// The members that the configuration names.
fn members(spec: &GroupSpec) -> &[InstanceId] {
    match &spec.kind {
        Kind::Pair { members } => members,
        Kind::Asg => &[],
    }
}

/// A group without alarms has nothing that could be unknown.
fn alarms_of(
    spec: &GroupSpec,
    all: &Seen<BTreeMap<String, Alarm>>,
) -> Seen<BTreeMap<String, Alarm>> {
    match all {
        Seen::Unknown(why) if !spec.alarms.is_empty() => Seen::Unknown(why.clone()),
        _ => {
            let all = all.known().into_iter().flatten();
            let mine = all.filter(|(name, _)| spec.alarms.contains(name));
            Seen::Known(
                mine.map(|(name, alarm)| (name.clone(), alarm.clone()))
                    .collect(),
            )
        }
    }
}

fn with_volumes(specs: &[GroupSpec]) -> Vec<GroupName> {
    let with = specs.iter().filter(|spec| !spec.volumes.is_empty());
    with.map(|spec| spec.name.clone()).collect()
}

/// A group that was not asked about has nothing of the kind.
fn part<T: Clone + Default>(all: &ByGroup<T>, name: &GroupName) -> Seen<T> {
    all.get(name)
        .cloned()
        .unwrap_or_else(|| Seen::Known(T::default()))
}
