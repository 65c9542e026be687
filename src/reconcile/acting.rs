//! Carrying out the steps of one plan.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{Memory, Runner, Told, later};
use crate::aws::{AwsError, Focus, Outcome};
use crate::host::Host;
use crate::patience::takes_about;
use crate::plan::{Plan, Step};
use crate::spec::{GroupSpec, VolumeSpec};

/// Said of a step that was under way when the process was frozen.
const STOOD_STILL: &str = "this process stood still meanwhile";
/// How long a refused capture counts as impossible: until it is tried again.
const REFUSED_FOR: SignedDuration = SignedDuration::from_mins(3);
/// One refusal may be a bad moment of the API. A visit sits out the half dozen
/// tries that this takes.
const SURE_AFTER: SignedDuration = SignedDuration::from_secs(20);

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
                (*step, done.map_err(Failed::from))
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
                done.push((step, result.map(|()| Outcome::Done).map_err(Failed::here)));
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
            if is_capture(step) {
                let is_beyond_reach = result.as_ref().is_err_and(|e| e.is_beyond_reach);
                memory.note_capture(step, is_beyond_reach, self.clock.now());
            }
            match result {
                Ok(Outcome::Done) => self.tell(&Told::Did(step)),
                Ok(Outcome::Overtaken(why)) => {
                    if !matches!(step, Step::Complete { .. }) {
                        touched = Focus::ALL;
                    }
                    self.tell(&Told::Overtaken(step, &why));
                }
                Err(failed) => {
                    if !is_local(step) {
                        touched = Focus::ALL;
                    }
                    denied |= failed.is_denied;
                    self.tell(&Told::Failed(step, &failed.why));
                    memory.last_error = Some(failed.why);
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

impl Memory {
    /// What can be captured makes older data needless, whatever the time is: its
    /// zone may have come back, or somebody deleted the capture that there was.
    /// Only AWS can say that it is out of reach, by refusing again and again.
    pub(super) fn may_still_capture(&self, plan: &Plan, now: Timestamp) -> bool {
        let mut captures = plan.steps.iter().filter(|step| is_capture(step));
        captures.any(|step| {
            let refused = self.refused.get(&step.key());
            !refused.is_some_and(|(first, last)| {
                now.duration_since(*last) <= REFUSED_FOR
                    && last.duration_since(*first) >= SURE_AFTER
            })
        })
    }

    fn note_capture(&mut self, capture: &Step, is_beyond_reach: bool, now: Timestamp) {
        self.refused
            .retain(|_, (_, last)| now.duration_since(*last) <= REFUSED_FOR);
        if is_beyond_reach {
            let (_, last) = self.refused.entry(capture.key()).or_insert((now, now));
            *last = now;
        } else {
            self.refused.remove(&capture.key());
        }
    }
}

/// A step that failed, and what that means for the next turns.
struct Failed {
    why: String,
    is_denied: bool,
    /// AWS itself cannot reach what it is about.
    is_beyond_reach: bool,
}

impl Failed {
    fn here(why: String) -> Self {
        Self {
            why,
            is_denied: false,
            is_beyond_reach: false,
        }
    }
}

impl From<AwsError> for Failed {
    fn from(error: AwsError) -> Self {
        Self {
            why: error.to_string(),
            is_denied: error.is_denied(),
            is_beyond_reach: error.is_beyond_reach(),
        }
    }
}

fn is_local(step: &Step) -> bool {
    matches!(
        step,
        Step::Quiesce | Step::Format { .. } | Step::Mount { .. } | Step::StartWorkload
    )
}

fn is_capture(step: &Step) -> bool {
    matches!(step, Step::Capture { .. })
}

fn volume_named<'a>(spec: &'a GroupSpec, name: &crate::ids::VolumeName) -> Option<&'a VolumeSpec> {
    spec.volumes.iter().find(|v| v.name == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;
    use crate::world::{Consistency, Shape};

    fn capture(volume: &str) -> Step {
        Step::Capture {
            name: "data".into(),
            volume: volume.into(),
            epoch: Epoch(1),
            incident: crate::ids::Incident::new("i-1/1"),
            consistency: Consistency::Clean,
            quiet_on: None,
            shape: Shape::default(),
            tags: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn older_data_is_used_only_while_every_capture_is_refused() {
        let at = |second| later(Timestamp::UNIX_EPOCH, SignedDuration::from_secs(second));
        let mut memory = Memory::new();
        let mut plan = Plan::default();
        assert!(!memory.may_still_capture(&plan, at(0)), "there is none");
        plan.steps = vec![capture("vol-1"), capture("vol-2")];
        let refused = |memory: &mut Memory, volume: &str, second| {
            memory.note_capture(&capture(volume), true, at(second));
        };
        for second in [0, 20] {
            refused(&mut memory, "vol-1", second);
        }
        assert!(memory.may_still_capture(&plan, at(20)), "not vol-2's");
        for second in [1, 20] {
            refused(&mut memory, "vol-2", second);
        }
        assert!(memory.may_still_capture(&plan, at(20)), "not for long");
        refused(&mut memory, "vol-2", 21);
        assert!(!memory.may_still_capture(&plan, at(200)));
        assert!(memory.may_still_capture(&plan, at(201)), "try it again");
        // An answer that says something else ends it.
        memory.note_capture(&capture("vol-2"), false, at(22));
        assert!(memory.may_still_capture(&plan, at(22)));
        // What nobody asks for any more is not kept for ever.
        refused(&mut memory, "vol-3", 1_000);
        assert_eq!(memory.refused.len(), 1);
    }
}
