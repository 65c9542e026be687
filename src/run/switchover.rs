//! `rehome switchover`: a person asks for another holder, and watches it come.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Failure, ask, clock, configuration, groups, print, print_json, tell};
use crate::aws::{Aws, Focus, Outcome};
use crate::cli::Switchover;
use crate::clock::Clock;
use crate::host::linux::LinuxHost;
use crate::ids::InstanceId;
use crate::plan::{self, Seat, Step};
use crate::reconcile::{Ended, Runner, Teller};
use crate::spec::GroupSpec;
use crate::world::World;

/// Between two looks at whether Auto Scaling has begun.
const PAUSE: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize)]
struct Report<'a> {
    group: &'a str,
    from: Option<&'a InstanceId>,
    to: Option<&'a InstanceId>,
    settled: bool,
    seconds: f64,
}

pub(super) async fn run(options: &Switchover) -> Result<(), Failure> {
    let config = configuration(options.configuration.config.as_deref())?;
    let spec = groups(config, Some(&options.group))?.swap_remove(0);
    if !options.yes && !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "nobody is there to ask; --yes switches over without asking".to_owned(),
        ));
    }
    let clock = clock();
    let start = clock.now();
    let deadline = start.checked_add(options.timeout).unwrap_or(Timestamp::MAX);
    let aws = Aws::from_env().await?;
    let world = aws.observe(&spec, Focus::ALL, None).await;
    let from = holder(&world, &spec, start);
    let to = options.to.as_deref().map(InstanceId::new);
    let step = plan::switchover(&world, &spec, to.as_ref(), start)
        .map_err(|why| Failure::Failed(format!("{}: {why}", spec.name)))?;
    if !options.yes && !agreed(&spec, from.as_ref(), &step)? {
        return Err(Failure::Failed("nothing was changed".to_owned()));
    }
    match aws.act(&spec, &step, start).await? {
        Outcome::Done => {}
        Outcome::Overtaken(why) => {
            return Err(Failure::Failed(format!("{}: {why}; look again", spec.name)));
        }
    }
    let teller = if options.json {
        Teller::silent()
    } else {
        print(&format!("{}: {step}\n", spec.name))?;
        tell::console(start)
    };
    let runner = Runner {
        aws,
        host: None::<LinuxHost>,
        clock: clock.clone(),
        teller,
    };
    let ended = until_moved(runner, &spec, from.as_ref(), deadline, &clock).await?;
    let seconds = clock.now().duration_since(start).as_secs_f64();
    conclude(&spec, options, from.as_ref(), ended.as_ref(), seconds)
}

/// Helps, and waits until everything is with another holder; None if that did
/// not come about in time.
async fn until_moved(
    mut runner: Runner<LinuxHost>,
    spec: &GroupSpec,
    from: Option<&InstanceId>,
    deadline: Timestamp,
    clock: &Clock,
) -> Result<Option<InstanceId>, Failure> {
    loop {
        match runner.until_settled(spec, deadline).await {
            Ended::Settled(world) => {
                let now = holder(&world, spec, clock.now());
                if let Some(now) = now.filter(|now| Some(now) != from) {
                    return Ok(Some(now));
                }
            }
            Ended::OutOfTime { .. } => return Ok(None),
            Ended::Failed(why) => {
                return Err(Failure::Failed(format!("{}: {why}", spec.name)));
            }
        }
        if clock.now() >= deadline {
            return Ok(None);
        }
        // All was settled, and is about to change.
        tokio::time::sleep(PAUSE).await;
    }
}

fn holder(world: &World, spec: &GroupSpec, now: Timestamp) -> Option<InstanceId> {
    plan::plan(world, spec, &Seat::default(), now).holder
}

fn agreed(spec: &GroupSpec, from: Option<&InstanceId>, step: &Step) -> Result<bool, Failure> {
    let from = from.map_or("nobody", InstanceId::as_str);
    ask(&format!(
        "{}: held by {from} now; the service stops while it moves.\n  {step}\nGo on? [y/N] ",
        spec.name
    ))
}

fn conclude(
    spec: &GroupSpec,
    options: &Switchover,
    from: Option<&InstanceId>,
    to: Option<&InstanceId>,
    seconds: f64,
) -> Result<(), Failure> {
    if options.json {
        print_json(&Report {
            group: spec.name.as_str(),
            from,
            to,
            settled: to.is_some(),
            seconds,
        })?;
    }
    match to {
        Some(_) if options.json => Ok(()),
        Some(to) => print(&format!(
            "{}: {to} serves, after {seconds:.1} s\n",
            spec.name
        )),
        None => Err(Failure::OutOfTime(format!(
            "{}: not settled within {:#}; it was asked for, and whoever looks after the group goes on",
            spec.name, options.timeout
        ))),
    }
}
