//! What happens next? The story of a scenario, told statement by statement.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rehome_region::record::Tags;
use rehome_region::{Faults, Region, Settings, Truth, What};

use super::blows::{Blow, Blows};
use super::connector::{Shared, Way};
use super::ledger::Ledger;
use super::promises::{Evidence, judge};
use super::scenario::{Deed, End, Expectation, Line, Scenario};
use super::setting;
use super::stage::Stage;
use super::time::VirtualTime;
use super::{judge as court, narrate, roles};
use crate::aws::{Adoption, Focus, Outcome};
use crate::ids::{AllocationId, VolumeId, VolumeName};
use crate::plan;
use crate::report::{Rehearsal, Verdict, seconds};
use crate::tags;

/// How often a daemon looks when nothing wakes it, as by default.
const POLL_EVERY: SignedDuration = SignedDuration::from_secs(15);

/// How long after something went wrong a passing of time still counts as part
/// of it.
const STIRRED_FOR: SignedDuration = SignedDuration::from_mins(5);

/// What the person at the command line is called.
pub(super) const OPERATOR: &str = "operator";

/// And the one who sets things up, and may do anything.
const OWNER: &str = "owner";

/// Performs the scenario and judges it.
pub async fn perform(
    scenario: &Scenario,
    seed: u64,
    blows: &[Blow],
    way: Way,
) -> (Rehearsal, Blows) {
    let time = VirtualTime::start();
    let settings = Settings {
        seed,
        zones: scenario.zones.clone(),
        // An address each, as several Elastic IPs on one instance need.
        private_addresses: u8::try_from(scenario.spec.addresses.len().max(1)).unwrap_or(u8::MAX),
        ..Settings::default()
    };
    let mut region = Region::new(settings, time.now());
    if let Some(lag) = scenario.weather.lag {
        region.settings_mut().staleness = setting::staleness(lag);
    }
    setting::slow_down(&mut region, &scenario.weather);
    setting::snag(&mut region, &scenario.weather);
    region.settings_mut().faults.rules = scenario.mishaps.iter().map(setting::rule).collect();
    let (spec, addresses) = setting::allocate(&mut region, &scenario.spec, time.now());
    let spec = setting::people(&mut region, scenario, spec, time.now());
    roles::give(&mut region, &spec, scenario.lack.as_ref());
    let blows = [blows, &scenario.strikes].concat();
    let shared = Shared::new(region, time).struck(&blows).by(way);
    let weather = scenario.weather.clone();
    let poll_every = weather.poll.unwrap_or(POLL_EVERY);
    let stage = Stage::under(shared, spec, poll_every, scenario.function, weather);
    tokio::task::spawn_local(Rc::clone(&stage).play_region());
    tokio::task::spawn_local(Rc::clone(&stage).replace_fallen());
    if scenario.controller {
        stage.engage_controller(super::CONTROLLER);
    }
    if scenario.second_controller {
        stage.engage_controller(super::SECOND_CONTROLLER);
    }
    let mut teller = Teller {
        scenario,
        stage: Rc::clone(&stage),
        addresses,
        incident: None,
        struck: None,
        unsettled: Vec::new(),
        must_settle: false,
        expectations: Vec::new(),
    };
    for line in &scenario.story {
        Box::pin(teller.tell(line)).await;
        // What was refused once is refused again: that is the end of the story.
        if !teller.unsettled.is_empty() || teller.is_refused() {
            break;
        }
    }
    let rehearsal = teller.finish(seed);
    let blows = stage.shared.blows().clone();
    (rehearsal, blows)
}

struct Teller<'a> {
    scenario: &'a Scenario,
    stage: Rc<Stage>,
    /// The Elastic IPs of the group.
    addresses: Vec<String>,
    /// When the first thing went wrong, and the last.
    incident: Option<Timestamp>,
    struck: Option<Timestamp>,
    unsettled: Vec<String>,
    must_settle: bool,
    expectations: Vec<Verdict>,
}

impl Teller<'_> {
    async fn tell(&mut self, line: &Line) {
        let now = self.stage.now();
        if line.deed.is_incident() {
            self.incident.get_or_insert(now);
            self.struck = Some(now);
        }
        self.count_calls(line, now);
        match &line.deed {
            Deed::Settle { within } => self.settle(*within).await,
            Deed::Calm { within } => {
                self.settle(*within).await;
                // It had its chance; the story goes on either way.
                self.unsettled.clear();
                self.must_settle = false;
            }
            Deed::Hold { lasting } => self.hold(*lasting).await,
            Deed::Pass { time } => tokio::time::sleep(std_duration(*time)).await,
            Deed::Adopt => self.adopt().await,
            Deed::Erase { volume } => self.erase(volume.as_str()).await,
            Deed::Expect(expectation) => self.expect(line.number, expectation),
            Deed::Live { zone } => self.live(zone.as_deref()).await,
            Deed::Switchover { must } => self.switchover(*must).await,
            deed => self.strike(deed, now),
        }
    }

    /// Runners that only idle are not worth striking: nothing is under way.
    fn count_calls(&self, line: &Line, now: Timestamp) {
        let after = |at: Timestamp| now.duration_since(at) < STIRRED_FOR;
        let idles = matches!(line.deed, Deed::Pass { .. }) && !self.struck.is_some_and(after);
        self.stage.shared.blows().count(!idles);
    }

    /// What happens at once, by nature or by people.
    fn strike(&mut self, deed: &Deed, now: Timestamp) {
        let holder = self.holder().unwrap_or_default();
        let name = self.stage.spec.name.as_str();
        let mut region = self.stage.shared.lock();
        match deed {
            Deed::Launch { zone } => {
                let setup = setting::group_setup(self.scenario);
                region.create_group(setup, now);
                region.set_next_zone(name, zone.as_deref());
            }
            Deed::NextZone { zone } => region.set_next_zone(name, Some(zone)),
            Deed::End(End::Fail) => region.fail_instance(&holder, now),
            Deed::End(End::Kill) => region.kill_instance(&holder, now),
            Deed::End(End::Crash) => region.crash_guest(&holder, now),
            Deed::End(End::Spot) => region.spot_notice(&holder, now),
            Deed::Rebalance => region.rebalance(name, now),
            Deed::ZoneDown { zone } => region.zone_down(zone, now),
            Deed::ZoneUp { zone } => region.zone_up(zone, now),
            Deed::HolderDown => {
                let zone = region
                    .model()
                    .instances
                    .get(&holder)
                    .map(|i| i.zone.clone());
                if let Some(zone) = zone {
                    region.zone_down(&zone, now);
                }
            }
            Deed::AllUp => {
                for zone in region.model().dark_zones.clone() {
                    region.zone_up(&zone, now);
                }
            }
            Deed::Heal => region.settings_mut().faults = Faults::default(),
            Deed::LateSnapshot { volume } => {
                setting::snapshot_of_old(&mut region, volume.as_str(), now)
            }
            Deed::Alarm { name, state } => region.set_alarm(name, state, now),
            Deed::LoseSnapshot { newest } => setting::lose_snapshot(&mut region, *newest, now),
            Deed::Scale { desired } => setting::scale(&mut region, name, *desired, now),
            Deed::Standby { start } => {
                // Who is the standby, a person knows in the dark, too.
                let spec = &self.stage.spec;
                let holder = court::holder(region.model(), spec, &BTreeSet::new());
                let holder = holder.unwrap_or_default();
                setting::start_or_stop(&mut region, spec, &holder, *start, now);
            }
            Deed::Settle { .. } | Deed::Calm { .. } | Deed::Hold { .. } | Deed::Pass { .. } => {}
            Deed::Switchover { .. }
            | Deed::Adopt
            | Deed::Erase { .. }
            | Deed::Expect(_)
            | Deed::Live { .. } => {}
        }
        drop(region);
        self.stage.shared.ring();
    }

    /// Waits until everything is in its place, by the region's own truth.
    async fn settle(&mut self, within: SignedDuration) {
        self.must_settle = true;
        // Nobody is in time who stands still.
        let napping = self.stage.shared.blows().napping();
        let late = tokio::time::sleep(std_duration(within) + napping);
        tokio::pin!(late);
        loop {
            let moved = self.stage.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            self.unsettled = self.open_ends();
            if self.unsettled.is_empty() || self.is_refused() {
                return;
            }
            tokio::select! {
                biased;
                () = moved => {}
                () = &mut late => return,
            }
        }
    }

    /// Rehome must leave things as they are for so long.
    async fn hold(&mut self, lasting: SignedDuration) {
        self.must_settle = false;
        tokio::time::sleep(std_duration(lasting)).await;
        let held = !self.open_ends().is_empty();
        let detail = if held {
            "it waited for a person"
        } else {
            "it went ahead"
        };
        self.expectations.push(Verdict {
            name: format!("holds for {lasting:#}"),
            held,
            detail: detail.to_owned(),
        });
    }

    fn is_refused(&self) -> bool {
        !self.stage.shared.lock().denials().is_empty()
    }

    fn open_ends(&self) -> Vec<String> {
        let region = self.stage.shared.lock();
        let truth = region.model();
        let dark = &truth.dark_zones;
        let mut open = court::unsettled(truth, &self.stage.spec, dark, &self.addresses);
        // What was just struck may not show in any state yet.
        let paths = region.incident_paths();
        if paths.last().is_some_and(|path| path.recovered.is_none()) {
            open.push("the service is not back yet".to_owned());
        }
        open
    }

    fn holder(&self) -> Option<String> {
        let region = self.stage.shared.lock();
        let truth = region.model();
        court::holder(truth, &self.stage.spec, &truth.dark_zones)
    }

    /// A life before rehome: an instance that has brought itself up.
    async fn live(&mut self, zone: Option<&str>) {
        let now = self.stage.now();
        self.stage.set_agents(false);
        {
            let mut region = self.stage.shared.lock();
            let mut setup = setting::group_setup(self.scenario);
            setup.hooks.clear();
            region.create_group(setup, now);
            region.set_next_zone(self.stage.spec.name.as_str(), zone);
        }
        self.stage.shared.ring();
        let holder = loop {
            self.stage.moved.notified().await;
            if let Some(holder) = self.holder() {
                break holder;
            }
        };
        let mut region = self.stage.shared.lock();
        let now = self.stage.now();
        let zone = region
            .model()
            .instances
            .get(&holder)
            .map(|i| i.zone.clone())
            .unwrap_or_default();
        for volume in &self.stage.spec.volumes {
            let size = u64::from(volume.first.size_gib.unwrap_or(10));
            let id = region.create_volume(&zone, size, Tags::new(), now);
            region.attach_volume(&id, &holder, &volume.device, now);
        }
        for allocation in &self.addresses {
            region.associate_address(allocation, Some(&holder), now);
        }
        drop(region);
        self.stage.shared.ring();
    }
}

impl Teller<'_> {
    /// Rehome is installed: hooks, `rehome adopt`, the daemon.
    async fn adopt(&mut self) {
        let Some(holder) = self.holder() else {
            self.unsettled
                .push("there is no holder to adopt from".to_owned());
            return;
        };
        let spec = self.stage.spec.clone();
        {
            let mut region = self.stage.shared.lock();
            for hook in setting::hooks(self.scenario) {
                setting::put_hook(&mut region, spec.name.as_str(), &hook, self.stage.now());
            }
        }
        let adoption = Adoption {
            volumes: self.volumes_of(&holder),
            addresses: self
                .addresses
                .iter()
                .map(|id| AllocationId::new(id.as_str()))
                .collect(),
        };
        let aws = self.stage.shared.aws(OWNER);
        if let Err(error) = aws.adopt(&spec.name, &adoption).await {
            self.unsettled.push(format!("cannot adopt: {error}"));
            return;
        }
        self.stage.set_agents(true);
        if spec.agent {
            self.stage.install_agent(&holder);
        }
    }

    /// As `rehome switchover` does. Whoever only tries takes no for an answer.
    async fn switchover(&mut self, must: bool) {
        let spec = self.stage.spec.clone();
        let aws = self.stage.shared.aws(OPERATOR);
        let world = aws.observe(&spec, Focus::ALL, None).await;
        let now = self.stage.now();
        let asked = match plan::switchover(&world, &spec, None, now) {
            Ok(step) => aws.act(&spec, &step, now).await.map_err(|e| e.to_string()),
            Err(why) => Err(why.to_string()),
        };
        match asked {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Overtaken(_)) | Err(_) if !must => {}
            Ok(Outcome::Overtaken(why)) | Err(why) => {
                self.unsettled.push(format!("cannot switch over: {why}"));
            }
        }
    }

    /// What an instance has at the configured devices.
    fn volumes_of(&self, instance: &str) -> Vec<(VolumeName, VolumeId)> {
        let truth = self.stage.shared.lock().truth();
        let found = self.stage.spec.volumes.iter().filter_map(|volume| {
            let there = truth.volumes.values().find(|candidate| {
                let attachment = candidate.attachment.as_ref();
                attachment.is_some_and(|a| a.instance == instance && a.device == volume.device)
            })?;
            Some((volume.name.clone(), VolumeId::new(there.id.as_str())))
        });
        found.collect()
    }

    /// A person deletes every volume and every snapshot of this name, as soon
    /// as nothing is attached any more.
    async fn erase(&mut self, name: &str) {
        let named = |tags: &Tags| tags.get(tags::VOLUME).map(String::as_str) == Some(name);
        loop {
            {
                let now = self.stage.now();
                let mut region = self.stage.shared.lock();
                let truth = region.truth();
                let volumes: Vec<_> = truth
                    .volumes
                    .values()
                    .filter(|volume| named(&volume.tags))
                    .collect();
                if volumes.iter().all(|volume| volume.attachment.is_none()) {
                    for volume in volumes {
                        region.delete_volume_by_hand(&volume.id, now);
                    }
                    for snapshot in truth.snapshots.values().filter(|s| named(&s.tags)) {
                        region.delete_snapshot_by_hand(&snapshot.id, now);
                    }
                    break;
                }
            }
            self.stage.moved.notified().await;
        }
        self.stage.shared.ring();
    }

    fn expect(&mut self, line: usize, expectation: &Expectation) {
        let (name, held, detail) = match expectation {
            Expectation::Loss { at_most } => {
                let lost = SignedDuration::try_from(self.lost()).unwrap_or(SignedDuration::MAX);
                let name = format!("at most {at_most:#} of data is lost");
                (name, lost <= *at_most, format!("{lost:#} was lost"))
            }
            Expectation::HolderIn { zone } => {
                let found = self.holder().and_then(|id| self.stage.zones.borrow().get(&id).cloned());
                let held = found.as_ref() == Some(zone);
                let found = found.unwrap_or_else(|| "nowhere".to_owned());
                (format!("the holder is in {zone}"), held, format!("it is in {found}"))
            }
            Expectation::Blank { count } => self.counted("blank volumes", *count, |what| {
                matches!(what, What::VolumeCreated { source: None, tags, .. } if tags.contains_key(tags::GROUP))
            }),
            Expectation::DeletedVolumes { count } => {
                let data = self.stage.volumes.borrow().clone();
                self.counted("data volumes deleted", *count, |what| {
                    matches!(what, What::VolumeDeleted { volume }
                        if data.get(volume).is_some_and(|v| v.tags.contains_key(tags::GROUP)))
                })
            }
            Expectation::Moves { count } => {
                // From its last instance, though that may have ended before.
                let mut last = BTreeMap::new();
                self.counted("address moves", *count, |what| match what {
                    What::AddressMoved { allocation, to: Some(to), .. } => last
                        .insert(allocation.clone(), to.clone())
                        .is_some_and(|last| last != *to),
                    _ => false,
                })
            }
            Expectation::Fences { count } => self.counted("instances stopped", *count, |what| {
                matches!(what, What::InstanceState { to, .. } if to == "stopping")
            }),
        };
        let name = format!("{name} (line {line})");
        self.expectations.push(Verdict { name, held, detail });
    }

    fn counted(
        &self,
        what: &str,
        count: usize,
        mut is: impl FnMut(&What) -> bool,
    ) -> (String, bool, String) {
        let region = self.stage.shared.lock();
        let found = region
            .record()
            .entries()
            .iter()
            .filter(|entry| is(&entry.what))
            .count();
        (
            format!("{what}: {count}"),
            found == count,
            format!("{found} found"),
        )
    }

    /// The most that any writer found missing when it began.
    fn lost(&self) -> Duration {
        let region = self.stage.shared.lock();
        let lost = region
            .record()
            .entries()
            .iter()
            .filter_map(|entry| match &entry.what {
                What::WriterStarted {
                    lost, lost_writes, ..
                } if *lost_writes > 0 => Some(*lost),
                _ => None,
            });
        lost.max().unwrap_or_default()
    }

    fn finish(self, seed: u64) -> Rehearsal {
        let lost = self.lost();
        let mut region = self.stage.shared.lock();
        region.advance(self.stage.now());
        let ledger = Ledger::replay(region.record().entries());
        let truth = region.truth();
        let promises = self.judged(&region, &ledger, &truth);
        let mut expectations = self.expectations.clone();
        expectations.extend(roles::broken(&region));
        let zero = self.incident.unwrap_or_else(super::time::beginning);
        let incidents = narrate::incidents(&region.incident_paths(), zero);
        let worst = incidents.iter().max_by(|a, b| {
            let rto = |i: &crate::report::Incident| i.rto_seconds.unwrap_or(f64::INFINITY);
            rto(a).total_cmp(&rto(b))
        });
        let (cast, timeline) =
            narrate::timeline(&self.stage, region.record().entries(), &ledger, zero);
        Rehearsal {
            scenario: self.scenario.name.clone(),
            title: self.scenario.title.clone(),
            seed,
            settled: self.unsettled.is_empty(),
            rto_seconds: worst.and_then(|incident| incident.rto_seconds),
            critical_path_seconds: worst.and_then(|incident| incident.critical_path_seconds),
            data_loss_seconds: seconds(lost),
            api_calls: calls_since(&region, zero),
            promises,
            expectations,
            permissions: roles::used(&region),
            incidents,
            cast,
            timeline,
        }
    }

    fn judged(&self, region: &Region, ledger: &Ledger, truth: &Truth) -> Vec<Verdict> {
        let blows = self.stage.shared.blows();
        let evidence = Evidence {
            spec: &self.stage.spec,
            entries: region.record().entries(),
            ledger,
            truth,
            volumes: &self.stage.volumes.borrow(),
            zones: &self.stage.zones.borrow(),
            addresses: &self.addresses,
            unsettled: &self.unsettled,
            conditions: self.stage.conditions(),
            must_settle: self.must_settle,
            naps: &blows.naps,
            late: &blows.late,
        };
        judge(&evidence)
    }
}

/// What all runners together asked of AWS.
fn calls_since(region: &Region, since: Timestamp) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for entry in region
        .record()
        .entries()
        .iter()
        .filter(|entry| entry.at >= since)
    {
        if let What::Call { action, .. } = &entry.what {
            *calls.entry(action.clone()).or_default() += 1;
        }
    }
    calls
}

fn std_duration(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}
