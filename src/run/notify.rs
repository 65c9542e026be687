//! What does the service manager hear? That the daemon is ready, alive and
//! what its groups are at; nothing where there is no service manager.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::ids::GroupName;
use crate::reconcile::Told;

#[derive(Debug, Default)]
pub(super) struct Manager {
    /// What each group was last said to be at.
    groups: RefCell<BTreeMap<GroupName, String>>,
}

impl Manager {
    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    pub(super) fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// How often a sign of life is due, if anyone watches for one.
    pub(super) fn watches_every(&self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 3)
    }

    /// The groups that are served from now on.
    pub(super) fn serves(&self, names: impl Iterator<Item = GroupName>) {
        *self.groups.borrow_mut() = names.map(|name| (name, "starts".to_owned())).collect();
        self.say();
    }

    pub(super) fn hears(&self, group: &GroupName, told: &Told<'_>) {
        let now = match told {
            Told::Doing(step) => format!("{step}"),
            Told::Failed(step, _) => format!("{step} (failed, trying again)"),
            Told::Waiting(wait) => format!("{wait}"),
            Told::Settled => "settled".to_owned(),
            Told::Did(_) | Told::Overtaken(..) => return,
        };
        if let Some(state) = self.groups.borrow_mut().get_mut(group) {
            *state = now;
        }
        self.say();
    }

    fn say(&self) {
        tell(&[NotifyState::Status(&line(&self.groups.borrow()))]);
    }
}

/// One line for all; with many groups, those that are not settled.
fn line(groups: &BTreeMap<GroupName, String>) -> String {
    const MOST_NAMED: usize = 5;
    let busy: Vec<_> = groups
        .iter()
        .filter(|(_, state)| *state != "settled")
        .collect();
    if busy.is_empty() {
        return format!("{} group(s) settled", groups.len());
    }
    let named = busy
        .iter()
        .take(MOST_NAMED)
        .map(|(name, state)| format!("{name}: {state}"));
    let mut line = named.collect::<Vec<_>>().join("; ");
    if busy.len() > MOST_NAMED {
        line.push_str(&format!("; and {} more", busy.len() - MOST_NAMED));
    }
    // A newline would end the status and begin another assignment.
    line.replace('\n', " ")
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_is_under_way() {
        let groups = |states: &[(&str, &str)]| {
            let states = states.iter();
            states
                .map(|(name, state)| (GroupName::from(*name), (*state).to_owned()))
                .collect()
        };
        assert_eq!(
            line(&groups(&[("a", "settled"), ("b", "settled")])),
            "2 group(s) settled"
        );
        assert_eq!(
            line(&groups(&[("a", "settled"), ("b", "waits\nfor it")])),
            "b: waits for it"
        );
        let many: Vec<String> = (0..7).map(|n| format!("g{n}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "starts")).collect();
        assert!(line(&groups(&many)).ends_with("g4: starts; and 2 more"));
    }
}
