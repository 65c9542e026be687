//! What happens in a live drill, from end to end? A group comes to life, its
//! instance ends again and again, and at the end the record is judged.

use std::collections::BTreeMap;

use fastrand::Rng;
use jiff::SignedDuration;

use super::LiveError;
use super::ask;
use super::client::{self, Client};
use super::deeds::rounds;
use super::nest::Nest;
use super::report::LiveReport;
use super::round::Drill;
use super::stage::{Stage, View};
use crate::clock::Clock;
use crate::drill::judge as court;
use crate::drill::ledger::Ledger;
use crate::drill::promises::{Conditions, Evidence, judge};
use crate::report::Verdict;

/// Who does not come up in this time does not come up.
pub(super) const RECOVERED: SignedDuration = SignedDuration::from_secs(180);

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
        let round = report.rounds.len() + 1;
        report.error = Some(format!("before the end of round {round}: {error}"));
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
    let client = Client::start(stage.ip, stage.clock.clone());
    let client = client.map_err(|error| ask::failed("a ledger", &error))?;
    report.workload = ask::version(&client)?;
    tell(&format!(
        "{} runs on a volume of its own, {:.1} s after the launch\n",
        report.workload,
        stage.now().duration_since(begun).as_secs_f64()
    ));
    let mut rng = Rng::with_seed(options.seed);
    let deeds = rounds(options.rounds, &mut rng.fork());
    let mut drill = Drill::new(stage, client);
    for (number, (deed, heir)) in (1..).zip(deeds) {
        tell(&format!("\nround {number} of {}: {deed}\n", options.rounds));
        let mut round = drill.round(deed, heir, &mut rng).await?;
        round.round = number;
        tell(&round.told());
        report.rounds.push(round);
    }
    Ok(())
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
    let dark = court::dark_zones(entries);
    let addresses = [stage.allocation.clone()];
    let unsettled = court::unsettled(&truth, &stage.spec, &dark, &addresses);
    judge(&Evidence {
        spec: &stage.spec,
        entries,
        ledger: &ledger,
        truth: &truth,
        volumes: &truth.volumes,
        zones: &zones,
        addresses: &addresses,
        unsettled: &unsettled,
        conditions: Conditions::default(),
        must_settle: true,
        naps: &[],
        late: &[],
    })
}
