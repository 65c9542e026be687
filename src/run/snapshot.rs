//! `rehome snapshot`: a person wants a set of the live data now.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Failure, clock, configuration, groups, print, print_json, seat};
use crate::aws::{Aws, Focus, Outcome};
use crate::cli::Snapshot as Options;
use crate::clock::Clock;
use crate::host::linux::LinuxHost;
use crate::host::{Freeze, Host as _};
use crate::ids::{Incident, InstanceId, SnapshotId, VolumeId, VolumeName};
use crate::plan::{self, Step};
use crate::spec::GroupSpec;
use crate::world::{Seen, Snapshot, SnapshotState, World};

/// Between two looks at how far the upload is: it is minutes as a rule.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A new snapshot may take so many looks to be seen at all.
const LOOKS: usize = 8;

#[derive(Debug, Serialize)]
struct Report<'a> {
    group: &'a str,
    holder: &'a InstanceId,
    incident: &'a Incident,
    /// The file systems were held still while it was begun.
    frozen: bool,
    complete: bool,
    seconds: f64,
    snapshots: Vec<Shown<'a>>,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    id: &'a SnapshotId,
    volume: &'a VolumeId,
    name: Option<&'a VolumeName>,
    started: Timestamp,
    state: &'static str,
    progress: u8,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let config = configuration(options.configuration.config.as_deref())?;
    let spec = groups(config, Some(&options.group))?.swap_remove(0);
    if spec.volumes.is_empty() {
        return Err(Failure::Usage(format!(
            "{} has no [[group.volume]], so there is nothing to take a snapshot of",
            spec.name
        )));
    }
    let clock = clock();
    let start = clock.now();
    let aws = Aws::from_env().await?;
    let world = aws.observe(&spec, Focus::ALL, None).await;
    let step = plan::snapshot(&world, &spec, start)
        .map_err(|why| Failure::Failed(format!("{}: {why}", spec.name)))?;
    let Step::SnapshotLive {
        instance, incident, ..
    } = &step
    else {
        return Err(Failure::Failed("there is nothing to do".to_owned()));
    };
    let frozen = begin(&aws, &spec, &step, instance, start).await?;
    let set = Set {
        aws: &aws,
        spec: &spec,
        step: &step,
        incident,
        clock: &clock,
    };
    let deadline = match options.wait {
        true => start.checked_add(options.timeout).unwrap_or(Timestamp::MAX),
        false => start,
    };
    let world = set.watch(world, deadline).await;
    let seconds = clock.now().duration_since(start).as_secs_f64();
    let report = Report {
        group: spec.name.as_str(),
        holder: instance,
        incident,
        frozen,
        complete: set.is_complete(&world),
        seconds,
        snapshots: set.of(&world).iter().map(|of| shown(of)).collect(),
    };
    if options.json {
        print_json(&report)?;
    } else {
        print(&face(&report))?;
    }
    conclude(options, &report)
}

/// Held still only on the holder itself, and only if the policy says so.
async fn begin(
    aws: &Aws,
    spec: &GroupSpec,
    step: &Step,
    holder: &InstanceId,
    now: Timestamp,
) -> Result<bool, Failure> {
    let freeze = match host_of(holder).await.filter(|_| spec.policy.freeze) {
        None => Freeze::none(),
        Some(host) => host.freeze(spec).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "takes the snapshots without a freeze");
            Freeze::none()
        }),
    };
    let held = freeze.is_held();
    let acted = aws.act(spec, step, now).await;
    let in_time = match freeze.thaw().await {
        Ok(in_time) => in_time,
        Err(error) => {
            return Err(Failure::Failed(format!(
                "{error}; run `rehome thaw`, which lets the file systems write again"
            )));
        }
    };
    match acted? {
        Outcome::Done => Ok(held && in_time),
        Outcome::Overtaken(why) => {
            Err(Failure::Failed(format!("{}: {why}; look again", spec.name)))
        }
    }
}

async fn host_of(holder: &InstanceId) -> Option<LinuxHost> {
    let host = seat::instance().await?;
    let here = host.identity().await.ok()?.instance == *holder;
    here.then_some(host)
}

/// The set that was begun, as it is seen to come about.
struct Set<'a> {
    aws: &'a Aws,
    spec: &'a GroupSpec,
    step: &'a Step,
    incident: &'a Incident,
    clock: &'a Clock,
}

impl Set<'_> {
    /// Until it is complete, cannot become so any more, or the time is over;
    /// but seen at all it should be.
    async fn watch(&self, mut world: World, deadline: Timestamp) -> World {
        let (mut pause, mut looks) = (FIRST_PAUSE, 0);
        loop {
            let focus = Focus::after(self.step);
            world = self.aws.observe(self.spec, focus, Some(&world)).await;
            looks += 1;
            let seen = self.of(&world).len() == self.spec.volumes.len() || looks >= LOOKS;
            let late = self.clock.now() >= deadline;
            if self.is_complete(&world) || self.has_failed(&world) || (late && seen) {
                return world;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    fn of<'w>(&self, world: &'w World) -> Vec<&'w Snapshot> {
        let all = match &world.snapshots {
            Seen::Known(all) => all.values(),
            Seen::Unknown(_) => return Vec::new(),
        };
        all.filter(|of| of.incident.as_ref() == Some(self.incident))
            .collect()
    }

    fn is_complete(&self, world: &World) -> bool {
        let set = self.of(world);
        set.len() == self.spec.volumes.len()
            && set.iter().all(|of| of.state == SnapshotState::Completed)
    }

    fn has_failed(&self, world: &World) -> bool {
        let mut set = self.of(world).into_iter();
        set.any(|of| !of.state.is_usable())
    }
}

fn shown(of: &Snapshot) -> Shown<'_> {
    Shown {
        id: &of.id,
        volume: &of.volume,
        name: of.name.as_ref(),
        started: of.started,
        state: match of.state {
            SnapshotState::Pending => "pending",
            SnapshotState::Completed => "completed",
            SnapshotState::Failed | SnapshotState::Unusable => "failed",
        },
        progress: of.progress,
    }
}

fn face(report: &Report<'_>) -> String {
    let how = match report.frozen {
        true => "while its file systems were held still",
        false => "as after a power cut",
    };
    let mut text = format!(
        "{}: a set of what {} has, {how}\n",
        report.group, report.holder
    );
    for of in &report.snapshots {
        let name = of.name.map_or("?", VolumeName::as_str);
        let state = match of.state {
            "pending" => format!("{} % uploaded", of.progress),
            state => state.to_owned(),
        };
        text.push_str(&format!(
            "  {name:<11} {} of {}, {:.0}, {state}\n",
            of.id, of.volume, of.started
        ));
    }
    if report.complete {
        text.push_str(&format!("  complete after {:.1} s\n", report.seconds));
    }
    text
}

fn conclude(options: &Options, report: &Report<'_>) -> Result<(), Failure> {
    let failed = |of: &Shown<'_>| of.state == "failed";
    if report.snapshots.iter().any(failed) {
        return Err(Failure::Failed(format!(
            "{}: a snapshot of the set failed",
            report.group
        )));
    }
    if options.wait && !report.complete {
        return Err(Failure::OutOfTime(format!(
            "{}: not complete within {:#}; the upload goes on",
            report.group, options.timeout
        )));
    }
    Ok(())
}
