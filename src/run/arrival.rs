//! Is this instance a member of its group yet? At boot it may know of itself
//! before Auto Scaling's describe does, and in a warm pool it is none so far.

use jiff::{SignedDuration, Timestamp};

use super::{Failure, seat};
use crate::aws::Outcome;
use crate::host::linux::LinuxHost;
use crate::ids::InstanceId;
use crate::plan::{Action, Reason, Step, Wait};
use crate::reconcile::{Ended, Runner, Told};
use crate::spec::{GroupSpec, Kind};
use crate::world::{Transition, World};

/// Between two looks for this instance among the members.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);
/// An instance boots before its launch action is open; later than this after
/// boot it was completed already, or there is none.
const HOOK_OPENS: SignedDuration = SignedDuration::from_secs(120);

/// Brings this instance its belongings. Settled with somebody else as a member
/// is not settled for this one: whoever started this must not go on.
pub(super) async fn settle(
    runner: &mut Runner<LinuxHost>,
    spec: &GroupSpec,
    here: &InstanceId,
    deadline: Timestamp,
) -> Ended {
    let since = runner.clock.now();
    let mut told = false;
    loop {
        let ended = runner.until_settled(spec, deadline).await;
        let Some(members) = members_without(&ended, spec, here) else {
            return ended;
        };
        let now = runner.clock.now();
        let wait = Wait {
            reason: Reason::Lagging {
                what: format!("{here} as a member of the group (it has {members})"),
            },
            since: Some(since),
            until: Some(deadline),
        };
        if now >= deadline {
            return Ended::OutOfTime {
                waits: vec![wait],
                last_error: None,
            };
        }
        if !told {
            runner.teller.tell(now, &Told::Waiting(&wait));
            told = true;
        }
        let pause = deadline.duration_since(now).min(LOOK_EVERY);
        tokio::time::sleep(pause.unsigned_abs()).await;
    }
}

/// Who is listed, where this instance is not.
fn members_without(ended: &Ended, spec: &GroupSpec, here: &InstanceId) -> Option<String> {
    let Ended::Settled(world) = ended else {
        return None;
    };
    if let Kind::Pair { members } = &spec.kind
        && members.contains(here)
    {
        return None;
    }
    let members = &world.group.known()?.members;
    if members.contains_key(here) {
        return None;
    }
    let names: Vec<&str> = members.keys().map(InstanceId::as_str).collect();
    Some(match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    })
}

/// Does this instance stand in a warm pool? Then it has nothing to bring, and
/// nothing to wait for but its own launch action, which nobody else completes.
pub(super) async fn is_in_warm_pool(runner: &Runner<LinuxHost>, deadline: Timestamp) -> bool {
    let Some(host) = &runner.host else {
        return false;
    };
    match seat::patiently(&runner.clock, deadline, async || host.target_state().await).await {
        Ok(state) => state.is_some_and(|state| state.starts_with("Warmed:")),
        Err(error) => {
            tracing::warn!(%error, "could not ask whether this instance is in a warm pool");
            false
        }
    }
}

pub(super) async fn enter_warm_pool(
    runner: &Runner<LinuxHost>,
    spec: &GroupSpec,
    here: &InstanceId,
    deadline: Timestamp,
) -> Result<Ended, Failure> {
    let (world, _) = runner.look(spec).await;
    let actions = launch_actions(&world, here);
    let opens = runner.clock.now().checked_add(HOOK_OPENS);
    let last = opens.unwrap_or(deadline).min(deadline);
    for action in actions {
        let step = Step::Complete { action };
        loop {
            let now = runner.clock.now();
            match runner.aws.act(spec, &step, now).await? {
                Outcome::Done => {
                    runner.teller.tell(now, &Told::Doing(&step));
                    runner.teller.tell(now, &Told::Did(&step));
                    break;
                }
                Outcome::Overtaken(_) if now >= last => break,
                Outcome::Overtaken(_) => tokio::time::sleep(LOOK_EVERY.unsigned_abs()).await,
            }
        }
    }
    Ok(Ended::Settled(Box::new(world)))
}

fn launch_actions(world: &World, here: &InstanceId) -> Vec<Action> {
    let hooks = world.group.known().into_iter().flat_map(|g| &g.hooks);
    hooks
        .filter(|hook| hook.transition == Transition::Launch)
        .map(|hook| Action {
            hook: hook.name.clone(),
            transition: Transition::Launch,
            instance: here.clone(),
        })
        .collect()
}
