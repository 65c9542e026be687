//! Carrying out the steps of one plan.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{Memory, Runner, Told, later};
use crate::aws::{Focus, Outcome};
use crate::host::Host;
use crate::patience::takes_about;
use crate::plan::Step;
use crate::spec::{GroupSpec, VolumeSpec};

/// Said of a step that was under way when the process was frozen.
const STOOD_STILL: &str = "this process stood still meanwhile";

impl<H: Host> Runner<H> {
    /// The steps of one plan do not depend on each other: calls go out at
    /// once, and what concerns this machine in order beside them.
    pub(super) async fn carry_out(
        &self,
        spec: &GroupSpec,
        memory: &mut Memory,
        steps: &[Step],
    ) -> Focus {
        let now = self.clock.now();
        let (local, remote): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|s| is_local(s));
        let remote = async {
            let frozen = self.freeze(spec, &remote).await;
            let calls = remote.iter().map(|step| async {
                self.tell(&Told::Doing(step));
                let done = tokio::select! {
                    biased; // an answer from before is not to be acted upon
                    () = self.stood_still() => Ok(Outcome::Overtaken(STOOD_STILL.to_owned())),
                    done = self.aws.act(spec, step, now) => done,
                };
                (*step, done.map_err(|e| (e.to_string(), e.is_denied())))
            });
            let done = join_all(calls).await;
            self.thaw(spec, frozen).await;
            done
        };
        let local = async {
            let mut done = Vec::new();
            for step in local {
                self.tell(&Told::Doing(step));
                let result = self.on_this_machine(spec, step).await;
                let failed = result.is_err();
                done.push((step, result.map(|()| Outcome::Done).map_err(|e| (e, false))));
                if failed {
                    break;
                }
            }
            done
        };
        let (remote, local) = tokio::join!(remote, local);
        let mut touched = Focus::NONE;
        let mut denied = false;
        for (step, result) in remote.into_iter().chain(local) {
            touched = touched.union(Focus::after(step));
            match result {
                Ok(Outcome::Done) => self.tell(&Told::Did(step)),
                Ok(Outcome::Overtaken(why)) => {
                    if !matches!(step, Step::Complete { .. }) {
                        touched = Focus::ALL;
                    }
                    self.tell(&Told::Overtaken(step, &why));
                }
                Err((why, is_denied)) => {
                    if !is_local(step) {
                        touched = Focus::ALL;
                    }
                    denied |= is_denied;
                    self.tell(&Told::Failed(step, &why));
                    memory.last_error = Some(why);
                }
            }
        }
        memory.denied_since = match (denied, memory.denied_since) {
            (false, _) => None,
            (true, since) => since.or(Some(now)),
        };
        touched
    }

    async fn on_this_machine(&self, spec: &GroupSpec, step: &Step) -> Result<(), String> {
        let Some(host) = &self.host else {
            return Err(
                "this step belongs to an instance, and this runner sits on none".to_owned(),
            );
        };
        let done = match step {
            Step::Quiesce => host.quiesce(spec).await,
            Step::Format {
                volume, filesystem, ..
            } => host.format(volume, *filesystem).await,
            Step::Mount { name, volume } => {
                let Some(volume_spec) = volume_named(spec, name) else {
                    return Err(format!("no volume named {name} is configured"));
                };
                host.mount(volume_spec, volume).await
            }
            Step::StartWorkload => host.start_workload(spec).await,
            _ => return Err("not a step of this machine".to_owned()),
        };
        done.map_err(|e| e.to_string())
    }

    /// The steps were accepted; what they began takes a while.
    pub(super) async fn let_it_happen(&self, steps: &[Step], since: Timestamp) {
        let longest = steps
            .iter()
            .map(takes_about)
            .try_fold(SignedDuration::ZERO, |most, takes| Some(most.max(takes?)));
        let until = later(since, longest.unwrap_or(SignedDuration::ZERO));
        let now = self.clock.now();
        if until > now {
            self.sleep(until.duration_since(now)).await;
        }
    }
}

fn is_local(step: &Step) -> bool {
    matches!(
        step,
        Step::Quiesce | Step::Format { .. } | Step::Mount { .. } | Step::StartWorkload
    )
}

fn volume_named<'a>(spec: &'a GroupSpec, name: &crate::ids::VolumeName) -> Option<&'a VolumeSpec> {
    spec.volumes.iter().find(|v| v.name == *name)
}
