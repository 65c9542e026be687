//! How does a round go? Somebody serves, is struck, and somebody else comes to
//! serve; what PostgreSQL returns then is held against what it promised.

use std::collections::BTreeSet;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::ask::ask;
use super::carry::{Strike, World, powered_in};
use super::client::Client;
use super::deeds::{Deed, Heir, Moment};
use super::report::Round;
use super::stage::{Stage, View};
use super::story::RECOVERED;
use super::tale::{Tale, tale};
use super::{LiveError, setting};
use crate::drill::roles;

/// Commits by an instance before anything is done to it: at least, and how
/// many more at most.
const WARM: usize = 200;
const WARMER: usize = 600;
/// A copy this old has something to lose.
const GONE_ON: SignedDuration = SignedDuration::from_secs(8);

/// Longer than any freeze may last, with the time to notice that it is over.
const THAWED: SignedDuration = SignedDuration::from_secs(8);

/// The drill while it goes on.
pub(super) struct Drill<'a> {
    stage: &'a Stage,
    client: Client,
    /// Rows that outages have cost.
    gone: BTreeSet<u64>,
}

impl<'a> Drill<'a> {
    pub(super) fn new(stage: &'a Stage, client: Client) -> Self {
        Self {
            stage,
            client,
            gone: BTreeSet::new(),
        }
    }

    pub(super) async fn round(
        &mut self,
        deed: Deed,
        heir: Heir,
        rng: &mut Rng,
    ) -> Result<Round, LiveError> {
        let warm = WARM + rng.usize(..WARMER);
        let old = self.ready(deed, warm).await?;
        let zone = self.stage.look()?.zone_of(&old);
        let next = self.next_zone(&zone, heir, rng);
        let mut wrong = Vec::new();
        let early = match deed {
            Deed::AgentKilled(Moment::Frozen) => {
                Some(self.kill_while_frozen(&old, &mut wrong).await?)
            }
            _ => None,
        };
        let struck = early.as_ref().map_or(self.stage.now(), |(at, _)| *at);
        let killed = self.strike(deed, &old, &zone, &next).await?.or(early);
        let back = |view: &View<'_>| {
            let new = view.holder().filter(|new| *new != old);
            new.is_some_and(|new| view.unsettled().is_empty() && self.acknowledged_by(&new) > 0)
        };
        self.until("the recovery", back).await?;
        let view = self.stage.look()?;
        let new = view.holder().unwrap_or_default();
        let mut round = Round {
            kind: deed.name().to_owned(),
            what: deed.to_string(),
            from: old.clone(),
            to: new.clone(),
            from_zone: zone.clone(),
            to_zone: view.zone_of(&new),
            rto_seconds: seconds(self.gap(&old, &new)),
            wrong,
            ..Round::default()
        };
        self.judge(deed, &new, &mut round)?;
        if deed.may_lose() {
            self.return_of_the_zone(&old, &zone, &new, &mut round)
                .await?;
        }
        round.held = round.wrong.is_empty();
        let told = Tale {
            struck,
            killed,
            old: &old,
            new: &new,
        };
        round.timeline = tale(&self.stage.region(), &self.client.book(), &told);
        Ok(round)
    }

    /// As the stage waits; why it does not come to pass, the client may know.
    async fn until(&self, what: &str, has: impl FnMut(&View<'_>) -> bool) -> Result<(), LiveError> {
        let waited = self.stage.until(what, RECOVERED, has).await;
        waited.map_err(|mut error| {
            if let (LiveError::Late { open, .. }, Some(trouble)) =
                (&mut error, &self.client.book().trouble)
            {
                *open = format!("the client last met this: {trouble}; {open}");
            }
            error
        })
    }

    /// Someone serves, its agent watches, and commits flow.
    async fn ready(&self, deed: Deed, commits: usize) -> Result<String, LiveError> {
        let world = &self.stage.world;
        let mut found = None;
        let watched = |view: &View<'_>| {
            let Some(holder) = view.holder().filter(|_| view.unsettled().is_empty()) else {
                return false;
            };
            let agent = world.look(&holder, |machine| machine.agent());
            let daemon = agent.flatten().is_some_and(|(_, what)| what == "daemon");
            let warm = self.acknowledged_by(&holder) >= commits;
            let copied = !deed.may_lose() || has_set(view, &holder);
            found = Some(holder);
            daemon && warm && copied
        };
        self.until("steady service", watched).await?;
        Ok(found.unwrap_or_default())
    }

    fn next_zone(&self, zone: &str, heir: Heir, rng: &mut Rng) -> String {
        let zones = self.stage.region().settings().zones.clone();
        let others: Vec<String> = zones.into_iter().filter(|other| other != zone).collect();
        match heir {
            Heir::SameZone => zone.to_owned(),
            Heir::OtherZone => rng.choice(others).unwrap_or_default(),
        }
    }

    /// When an agent was killed, and whose, if one was to be.
    async fn strike(
        &self,
        deed: Deed,
        holder: &str,
        zone: &str,
        next: &str,
    ) -> Result<Option<(Timestamp, String)>, LiveError> {
        let now = self.stage.now();
        let world = &self.stage.world;
        if let Deed::AgentKilled(moment) = deed {
            arm(world, holder, moment);
        }
        {
            let mut region = self.stage.region();
            region.set_next_zone(setting::GROUP, Some(next));
            match deed {
                Deed::OtherZone | Deed::SameZone | Deed::AgentKilled(_) => {
                    region.fail_instance(holder, now);
                }
                Deed::PowerCut => {
                    world.cut_power(holder)?;
                    region.kill_instance(holder, now);
                }
                Deed::ZoneOutage => {
                    world.set_network(&powered_in(&region.truth(), zone), false)?;
                    region.zone_down(zone, now);
                }
            }
        }
        let moment = match deed {
            Deed::AgentKilled(moment) if moment != Moment::Frozen => moment,
            _ => return Ok(None),
        };
        let mut hit = None;
        let struck = |_: &View<'_>| {
            hit = match moment {
                Moment::Stopping => kill_while_stopping(world, holder),
                _ => world.struck().map(|struck| struck.instance),
            };
            hit.is_some()
        };
        self.until("the end of the agent", struck).await?;
        Ok(hit.map(|hit| (self.stage.now(), hit)))
    }

    /// A freeze ends with whoever asked for it: commits go on, and so does the
    /// service.
    async fn kill_while_frozen(
        &self,
        holder: &str,
        wrong: &mut Vec<String>,
    ) -> Result<(Timestamp, String), LiveError> {
        let world = &self.stage.world;
        world.arm(Strike {
            instance: holder.to_owned(),
            is_other: false,
            action: "CreateSnapshot",
        });
        let struck = |_: &View<'_>| world.struck().is_some();
        self.until("the end of the agent", struck).await?;
        let at = self.stage.now();
        if world.struck().is_none_or(|struck| !struck.frozen) {
            wrong.push("nothing was frozen when the agent was killed".to_owned());
        }
        let before = self.acknowledged_by(holder);
        let goes_on = |view: &View<'_>| {
            let agent = world.look(holder, |machine| machine.agent());
            agent.flatten().is_some()
                && self.acknowledged_by(holder) >= before + WARM
                && view.unsettled().is_empty()
        };
        self.until("commits after the freeze", goes_on).await?;
        let stalled = self.longest_gap(holder, at);
        if stalled > THAWED {
            wrong.push(format!(
                "commits stood still for {stalled:#} after the freeze"
            ));
        }
        Ok((at, holder.to_owned()))
    }

    /// Between two promises of an instance, from a moment before this on.
    fn longest_gap(&self, instance: &str, from: Timestamp) -> SignedDuration {
        let book = self.client.book();
        let own: Vec<Timestamp> = book
            .acknowledged
            .iter()
            .filter(|ack| ack.by == instance && ack.at.duration_since(from) > -THAWED)
            .map(|ack| ack.at)
            .collect();
        let gaps = own.iter().zip(own.iter().skip(1));
        let longest = gaps.map(|(one, next)| next.duration_since(*one)).max();
        longest.unwrap_or(SignedDuration::ZERO)
    }

    fn acknowledged_by(&self, instance: &str) -> usize {
        let book = self.client.book();
        let own = book.acknowledged.iter().rev();
        own.take_while(|ack| ack.by == instance).count()
    }

    /// What the client saw: from the old instance's last promise to the new
    /// one's first.
    fn gap(&self, old: &str, new: &str) -> SignedDuration {
        let book = self.client.book();
        let mut acknowledged = book.acknowledged.iter();
        let last = acknowledged.clone().rev().find(|ack| ack.by == old);
        let first = acknowledged.find(|ack| ack.by == new);
        match (last, first) {
            (Some(last), Some(first)) => first.at.duration_since(last.at),
            _ => SignedDuration::ZERO,
        }
    }

    /// Everything PostgreSQL returns, on this instance and through the Elastic
    /// IP, against everything it promised.
    fn judge(&mut self, deed: Deed, instance: &str, round: &mut Round) -> Result<(), LiveError> {
        let found = ask(&self.client, instance, &self.gone, &mut round.wrong)?;
        round.rows_acknowledged = found.acknowledged;
        round.rows_found = found.rows;
        round.rows_lost = found.lost.len();
        round.lost_seconds = seconds(found.lost_for);
        round.wrong.extend(found.strange);
        if !found.lost.is_empty() && !deed.may_lose() {
            round
                .wrong
                .push(format!("{} acknowledged rows are lost", found.lost.len()));
        }
        if found.lost_for > self.stage.spec.policy.max_data_loss {
            round.wrong.push(format!(
                "{:.1} s of commits are lost, more than max_data_loss allows",
                round.lost_seconds
            ));
        }
        self.gone.extend(found.lost);
        round.wrong.extend(roles::refusal(&self.stage.region()));
        Ok(())
    }

    /// The zone comes back with an old instance, an old volume, old data: none
    /// of them may take over.
    async fn return_of_the_zone(
        &mut self,
        old: &str,
        zone: &str,
        holder: &str,
        round: &mut Round,
    ) -> Result<(), LiveError> {
        let back = self.stage.now();
        {
            let mut region = self.stage.region();
            region.zone_up(zone, back);
            self.stage
                .world
                .set_network(&powered_in(&region.truth(), zone), true)?;
        }
        let over = |view: &View<'_>| {
            view.holder().as_deref() == Some(holder)
                && view.unsettled().is_empty()
                && !self.stage.world.has(old)
        };
        self.until("the end of the old instance", over).await?;
        let stalled = self.longest_gap(holder, back);
        if stalled > THAWED {
            round.wrong.push(format!(
                "commits stood still for {stalled:#} when the zone came back"
            ));
        }
        let found = ask(&self.client, holder, &self.gone, &mut round.wrong)?;
        round.wrong.extend(found.strange);
        if !found.lost.is_empty() {
            round.wrong.push(format!(
                "{} more rows went when the zone came back",
                found.lost.len()
            ));
        }
        Ok(())
    }
}

/// Whole milliseconds, as everywhere in a report.
fn seconds(duration: SignedDuration) -> f64 {
    crate::report::seconds(duration.unsigned_abs())
}

fn arm(world: &World, holder: &str, moment: Moment) {
    let (is_other, action) = match moment {
        Moment::Stopping | Moment::Frozen => return,
        Moment::After(call) => (false, call),
        Moment::HeirAfter(call) => (true, call),
    };
    world.arm(Strike {
        instance: holder.to_owned(),
        is_other,
        action,
    });
}

fn kill_while_stopping(world: &World, holder: &str) -> Option<String> {
    let killed = world.look(holder, |machine| {
        let stops = ["deactivating", "inactive"];
        stops.contains(&machine.unit(setting::UNIT).as_str()) && machine.kill_agent().is_some()
    });
    killed.unwrap_or(false).then(|| holder.to_owned())
}

/// A finished copy of the volume in use, which has gone on for a while.
fn has_set(view: &View<'_>, holder: &str) -> bool {
    let volume = view.volume_of(holder);
    let mut snapshots = view.truth.snapshots.values();
    snapshots.any(|snapshot| {
        Some(snapshot.volume.as_str()) == volume
            && snapshot.state.as_str() == "completed"
            && view.at.duration_since(snapshot.started) > GONE_ON
    })
}
