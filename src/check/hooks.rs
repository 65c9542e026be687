//! Are there hooks that hold a launch and a termination, long enough, and with
//! the right end if nobody completes them?

use jiff::SignedDuration;

use super::facts::{Facts, HookSetup};
use super::finding::{Finding, Part, Sheet};
use super::mend::{Command, advice, aws};
use crate::spec::GroupSpec;
use crate::world::Transition;

/// Below it, the restart of a daemon or the next visit of a function may come
/// too late for the next heartbeat.
const SHORTEST: SignedDuration = SignedDuration::from_secs(300);
/// For so long nobody replaces an heir whose rehome never began, if the hook
/// is waited for.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(1);
/// What a move needs beside the upload of the last snapshot.
const MARGIN: SignedDuration = SignedDuration::from_mins(15);
/// Auto Scaling ends every action after this, whatever the heartbeat.
const LONGEST: SignedDuration = SignedDuration::from_hours(48);

const LAUNCH: &str = "launch-hook";
const TERMINATE: &str = "terminate-hook";

pub(super) fn judge(facts: &Facts, spec: &GroupSpec) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Hooks);
    if facts.setup.known() == Some(&None) {
        // There is no group to have any.
        return sheet.done();
    }
    if let Some(hooks) = sheet.known("hooks", &facts.hooks) {
        for transition in [Transition::Launch, Transition::Terminate] {
            let own: Vec<&HookSetup> = hooks
                .iter()
                .filter(|hook| hook.transition == transition)
                .collect();
            of_transition(&mut sheet, spec, transition, &own);
        }
    }
    sheet.done()
}

fn of_transition(
    sheet: &mut Sheet,
    spec: &GroupSpec,
    transition: Transition,
    hooks: &[&HookSetup],
) {
    let check = name(transition);
    match used(hooks) {
        Some(hook) => one(sheet, spec, hook),
        None if hooks.is_empty() => sheet.wrong(
            check,
            format!("there is no hook on {}", event(transition)),
            match transition {
                Transition::Launch => {
                    "a new instance goes into service before its data is there, and an outage \
                     that takes longer than a health check allows gets it replaced again and again"
                }
                Transition::Terminate => {
                    "an instance is taken away while it writes: nothing stops the workload or \
                     unmounts, and the copy is what a power cut leaves"
                }
            },
            put(spec, transition, standard_name(transition)),
        ),
        None => {
            let names: Vec<&str> = hooks.iter().map(|hook| hook.name.as_str()).collect();
            sheet.wrong(
                check,
                format!(
                    "there are {} hooks on {}, and none has rehome in its name: {}",
                    hooks.len(),
                    event(transition),
                    names.join(", ")
                ),
                "rehome completes none of them, because it cannot know which is its own",
                put(spec, transition, standard_name(transition)),
            );
        }
    }
}

/// As the planner chooses: the only one, or the one named after rehome.
fn used<'a>(hooks: &[&'a HookSetup]) -> Option<&'a HookSetup> {
    match hooks {
        [one] => Some(one),
        several => {
            let mut named = several.iter().filter(|hook| hook.name.contains("rehome"));
            named.next().filter(|_| named.next().is_none()).copied()
        }
    }
}

fn one(sheet: &mut Sheet, spec: &GroupSpec, hook: &HookSetup) {
    let check = name(hook.transition);
    let again = || put(spec, hook.transition, &hook.name);
    let needs = spec.policy.capture_timeout.saturating_add(MARGIN);
    let mut sound = true;
    if hook.transition == Transition::Launch && hook.default_result != "ABANDON" {
        sheet.wrong(
            check,
            format!(
                "{} lets the instance into service when its time is over",
                hook.name
            ),
            "an heir whose data never came would count as healthy, and start empty",
            again(),
        );
        sound = false;
    }
    if hook.global < needs {
        sheet.wrong(
            check,
            format!(
                "{} ends after {} in all ({} a heartbeat), and a move may take {}",
                hook.name,
                span(hook.global),
                span(hook.heartbeat),
                span(needs)
            ),
            "the action times out while the last snapshot is still being uploaded: the heir is \
             given up, and the next one begins from the start",
            again(),
        );
        sound = false;
    } else if hook.heartbeat < SHORTEST {
        sheet.warning(
            check,
            format!(
                "{} wants a heartbeat every {}",
                hook.name,
                span(hook.heartbeat)
            ),
            "a runner that is restarted, or a function that pauses, may be too late for it",
            again(),
        );
        sound = false;
    }
    if hook.heartbeat > LONGEST_SILENCE {
        sheet.warning(
            check,
            format!(
                "{} waits {} for a heartbeat",
                hook.name,
                span(hook.heartbeat)
            ),
            silence(hook.transition),
            again(),
        );
        sound = false;
    }
    if sound {
        sheet.right(check, as_it_should_be(hook));
    }
}

fn silence(transition: Transition) -> &'static str {
    match transition {
        Transition::Launch => {
            "an heir on which rehome never starts is given up, and another launched, only after \
             that long"
        }
        Transition::Terminate => {
            "an instance that dies without a word stands in the way for that long, unless its heir \
             or a controller completes its termination"
        }
    }
}

fn as_it_should_be(hook: &HookSetup) -> String {
    let end = match hook.transition {
        Transition::Launch => "then the instance is given up, which is right without its data",
        Transition::Terminate => "then the instance goes, with either result",
    };
    format!(
        "{}: {} a heartbeat, {} in all, {end} ({})",
        hook.name,
        span(hook.heartbeat),
        span(hook.global),
        hook.default_result
    )
}

/// Its arguments are right for this policy.
fn put(spec: &GroupSpec, transition: Transition, hook: &str) -> Command {
    let needs = spec.policy.capture_timeout.saturating_add(MARGIN);
    if needs > LONGEST {
        return advice(
            "make capture_timeout shorter: Auto Scaling ends every action after 48 hours",
        );
    }
    // The whole wait is a hundred heartbeats.
    let heartbeat = (needs.as_secs() / 100 + 1).max(SHORTEST.as_secs());
    let (transition, result) = match transition {
        Transition::Launch => ("autoscaling:EC2_INSTANCE_LAUNCHING", "ABANDON"),
        Transition::Terminate => ("autoscaling:EC2_INSTANCE_TERMINATING", "CONTINUE"),
    };
    aws("autoscaling put-lifecycle-hook")
        .with("auto-scaling-group-name", &spec.name)
        .with("lifecycle-hook-name", hook)
        .with("lifecycle-transition", transition)
        .with("heartbeat-timeout", heartbeat)
        .with("default-result", result)
}

fn name(transition: Transition) -> &'static str {
    match transition {
        Transition::Launch => LAUNCH,
        Transition::Terminate => TERMINATE,
    }
}

fn standard_name(transition: Transition) -> &'static str {
    match transition {
        Transition::Launch => "rehome-launch",
        Transition::Terminate => "rehome-terminate",
    }
}

fn event(transition: Transition) -> &'static str {
    match transition {
        Transition::Launch => "launch",
        Transition::Terminate => "termination",
    }
}

/// `8h 20m`: whole units, and none that is nothing.
pub(super) fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let said: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .take(2)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if said.is_empty() {
        "0s".to_owned()
    } else {
        said.join(" ")
    }
}
