//! What happens in a live drill, from end to end? A group comes to life, and
//! its instance ends again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use jiff::SignedDuration;

use super::audit::{Audit, audit};
use super::carry::{Strike, World, powered_in};
use super::client::{self, Client};
use super::deeds::{Deed, Heir, Moment, rounds};
use super::nest::Nest;
use super::postgres::QueryError;
use super::report::{LiveReport, Round};
use super::stage::{Stage, View};
use super::{LiveError, setting, tool};
use crate::clock::Clock;
use crate::drill::ledger::Ledger;
use crate::drill::promises::{Evidence, judge};
use crate::report::Verdict;

/// A round in which nobody comes back in this time has failed.
const RECOVERED: SignedDuration = SignedDuration::from_secs(180);
/// Commits by an instance before anything is done to it: at least, and how
/// many more at most.
const WARM: usize = 200;
const WARMER: usize = 600;
/// A copy this old has something to lose.
const GONE_ON: SignedDuration = SignedDuration::from_secs(8);
/// How long PostgreSQL may take to return the whole ledger.
const READ: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct Options {
    pub rounds: usize,
    pub seed: u64,
}

/// Performs it, telling as it goes. Only inside the nest.
pub async fn perform(
    options: &Options,
    clock: Clock,
    tell: impl Fn(&str),
) -> Result<LiveReport, LiveError> {
    // What fails here is this machine's doing, and nobody's fault.
    let nest = Nest::furnish().map_err(|error| match error {
        LiveError::Refused(_) => error,
        other => LiveError::Refused(other.to_string()),
    })?;
    let stage = Stage::raise(nest, options.seed, clock).await?;
    let mut report = LiveReport {
        seed: options.seed,
        max_data_loss_seconds: stage.spec.policy.max_data_loss.as_secs_f64(),
        ..LiveReport::default()
    };
    let played = play(&stage, options, &tell, &mut report).await;
    if let Err(error) = played {
        report.error = Some(error.to_string());
    }
    report.promises = promises(&stage);
    report.conclude(options.rounds);
    Ok(report)
}

async fn play(
    stage: &Stage,
    options: &Options,
    tell: &impl Fn(&str),
    report: &mut LiveReport,
) -> Result<(), LiveError> {
    let begun = stage.now();
    let up = |view: &View<'_>| view.unsettled().is_empty() && client::answers(stage.ip);
    stage.until("the first boot", RECOVERED, up).await?;
    let client = Client::start(stage.ip, stage.clock.clone()).map_err(|e| asked("a ledger", &e))?;
    report.workload = version(&client)?;
    tell(&format!(
        "{} runs on a volume of its own, {:.1} s after the launch\n",
        report.workload,
        stage.now().duration_since(begun).as_secs_f64()
    ));
    let mut zones = Rng::with_seed(options.seed);
    let mut drill = Drill {
        stage,
        client,
        tell,
        gone: BTreeSet::new(),
    };
    let deeds = rounds(options.rounds, &mut zones.fork());
    for (number, (deed, heir)) in deeds.into_iter().enumerate() {
        tell(&format!(
            "\nround {} of {}: {deed}\n",
            number + 1,
            options.rounds
        ));
        let mut round = drill.round(deed, heir, &mut zones).await?;
        round.round = number + 1;
        tell(&format!("  {}\n", verdict(&round)));
        report.rounds.push(round);
    }
    Ok(())
}

fn verdict(round: &Round) -> String {
    let loss = match round.rows_lost {
        0 => "none lost".to_owned(),
        lost => format!("{lost} lost, {:.1} s", round.lost_seconds),
    };
    let held = if round.held { "held" } else { "NOT HELD" };
    format!(
        "{held}: RTO {:.1} s; {} rows acknowledged, {loss}; every page and index was read",
        round.rto_seconds, round.rows_acknowledged
    )
}

fn version(client: &Client) -> Result<String, LiveError> {
    let failed = |error: QueryError| asked("PostgreSQL's version", &error);
    let (mut session, _) = client.read(READ).map_err(failed)?;
    let rows = session.query("SHOW server_version").map_err(failed)?;
    let version = rows.into_iter().flatten().next().unwrap_or_default();
    let number = version.split(' ').next().unwrap_or_default();
    Ok(format!("PostgreSQL {number}"))
}

fn asked(what: &str, error: &QueryError) -> LiveError {
    LiveError::Stage {
        what: format!("could not ask for {what}"),
        why: error.to_string(),
    }
}

struct Drill<'a, T> {
    stage: &'a Stage,
    client: Client,
    tell: &'a T,
    /// Rows that outages have cost.
    gone: BTreeSet<u64>,
}

impl<T: Fn(&str)> Drill<'_, T> {
    async fn round(&mut self, deed: Deed, heir: Heir, rng: &mut Rng) -> Result<Round, LiveError> {
        let warm = WARM + rng.usize(..WARMER);
        let holder = self.ready(deed, warm).await?;
        let view = self.stage.look()?;
        let zone = view.zone_of(&holder);
        let next = self.next_zone(&zone, heir, rng);
        self.say(&format!("{holder} in {zone} serves, and is struck"));
        self.strike(deed, &holder, &zone, &next).await?;
        let back = |view: &View<'_>| {
            let new = view.holder().filter(|new| *new != holder);
            new.is_some_and(|new| view.unsettled().is_empty() && self.acknowledged_by(&new) > 0)
        };
        self.stage.until("the recovery", RECOVERED, back).await?;
        let view = self.stage.look()?;
        let new = view.holder().unwrap_or_default();
        let to_zone = view.zone_of(&new);
        let rto = self.gap(&holder, &new);
        self.say(&format!(
            "{new} in {to_zone} serves; PostgreSQL is asked what is there"
        ));
        let mut round = Round {
            kind: deed.name().to_owned(),
            what: deed.to_string(),
            from: holder.clone(),
            to: new.clone(),
            from_zone: zone.clone(),
            to_zone,
            rto_seconds: rto.as_secs_f64(),
            ..Round::default()
        };
        self.judge(deed, &new, &mut round)?;
        if deed == Deed::ZoneOutage {
            self.return_of_the_zone(&holder, &zone, &new, &mut round)
                .await?;
        }
        round.held = round.wrong.is_empty();
        Ok(round)
    }

    fn say(&self, what: &str) {
        (self.tell)(&format!("  {what}\n"));
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
        self.stage
            .until("steady service", RECOVERED, watched)
            .await?;
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

    async fn strike(
        &self,
        deed: Deed,
        holder: &str,
        zone: &str,
        next: &str,
    ) -> Result<(), LiveError> {
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
        let Deed::AgentKilled(moment) = deed else {
            return Ok(());
        };
        let mut hit = None;
        let struck = |_: &View<'_>| {
            hit = match moment {
                Moment::Stopping => kill_while_stopping(world, holder),
                Moment::After(_) | Moment::HeirAfter(_) => world.struck(),
            };
            hit.is_some()
        };
        self.stage
            .until("the end of the agent", RECOVERED, struck)
            .await?;
        let hit = hit.unwrap_or_default();
        self.say(&format!(
            "the agent of {hit} is killed; its service starts, and goes on"
        ));
        Ok(())
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
        let found = self.ask(instance, round)?;
        round.rows_acknowledged = found.acknowledged;
        round.rows_found = found.rows;
        round.rows_lost = found.lost.len();
        round.lost_seconds = found.lost_for.as_secs_f64();
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
        Ok(())
    }

    /// Every page of the table is read, and its checksum with it; then every
    /// table and index of the cluster is checked against each other.
    fn ask(&self, instance: &str, round: &mut Round) -> Result<Audit, LiveError> {
        let failed = |error: QueryError| asked("the ledger", &error);
        // Promises made while it reads need not be in what it read.
        let (acknowledged, tried) = {
            let book = self.client.book();
            (book.acknowledged.clone(), book.tried)
        };
        let (mut session, by) = self.client.read(READ).map_err(failed)?;
        if by != instance {
            round
                .wrong
                .push(format!("{by} answers at the Elastic IP, not {instance}"));
        }
        session
            .query("SET enable_indexscan = off")
            .map_err(failed)?;
        // One statement sees one instant, of both tables.
        let rows = session.query("SELECT n, (SELECT commits FROM tally) FROM ledger");
        let rows = rows.unwrap_or_else(|error| {
            round
                .wrong
                .push(format!("the ledger cannot be read: {error}"));
            Vec::new()
        });
        let tally = rows.first().and_then(|row| row.get(1)?.parse().ok());
        if tally != Some(rows.len()) {
            round.wrong.push(format!(
                "{} rows are there, and the tally says {tally:?}",
                rows.len()
            ));
        }
        let numbers = rows.iter().filter_map(|row| row.first()?.parse().ok());
        let rows: Vec<u64> = numbers.collect();
        round
            .wrong
            .extend(check_structures(&self.stage.ip.to_string()));
        let newest = rows.iter().copied().max().unwrap_or_default();
        let book = client::Book {
            acknowledged,
            tried: tried.max(newest.min(self.client.book().tried)),
            trouble: None,
        };
        Ok(audit(&book, &self.gone, &rows))
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
        {
            let mut region = self.stage.region();
            region.zone_up(zone, self.stage.now());
            self.stage
                .world
                .set_network(&powered_in(&region.truth(), zone), true)?;
        }
        self.say(&format!("{zone} is back, and with it {old}"));
        let over = |view: &View<'_>| {
            view.holder().as_deref() == Some(holder)
                && view.unsettled().is_empty()
                && !self.stage.world.has(old)
        };
        self.stage
            .until("the end of the old instance", RECOVERED, over)
            .await?;
        let found = self.ask(holder, round)?;
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

fn arm(world: &World, holder: &str, moment: Moment) {
    let (is_other, action) = match moment {
        Moment::Stopping => return,
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
        stops.contains(&machine.unit(setting::UNIT).as_str()) && machine.kill_agent()
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

/// Every table and index of the cluster against each other; what is wrong.
fn check_structures(ip: &str) -> Option<String> {
    let program = super::needs::server()?.join("pg_amcheck");
    let program = program.to_string_lossy();
    let how = [
        "--all",
        "--install-missing",
        "--heapallindexed",
        "-h",
        ip,
        "-U",
        "postgres",
    ];
    let checked = tool::run(&[&[program.as_ref()], how.as_slice()].concat());
    checked.err().map(|error| error.to_string())
}

/// The region's own record, before the same court as every other drill.
fn promises(stage: &Stage) -> Vec<Verdict> {
    let region = stage.region();
    let truth = region.truth();
    let entries = region.record().entries();
    let ledger = Ledger::replay(entries);
    let zones: BTreeMap<String, String> = truth
        .instances
        .values()
        .map(|instance| (instance.id.clone(), instance.zone.clone()))
        .collect();
    let dark = crate::drill::judge::dark_zones(entries);
    let addresses = [stage.allocation.clone()];
    let unsettled = crate::drill::judge::unsettled(&truth, &stage.spec, &dark, &addresses);
    judge(&Evidence {
        spec: &stage.spec,
        entries,
        ledger: &ledger,
        truth: &truth,
        volumes: &truth.volumes,
        zones: &zones,
        addresses: &addresses,
        unsettled: &unsettled,
        must_settle: true,
    })
}
