//! Is it allowed? Some statement must say so, and none the opposite.

use super::ask::Question;
use super::policy::{Policy, Statement};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    /// By this statement.
    Allowed(&'a str),
    Denied {
        /// A statement says so; else none says the opposite.
        explicit: bool,
    },
}

pub(crate) fn decide<'a>(policies: &[&'a Policy], question: &Question) -> Answer<'a> {
    let action = question.action.to_lowercase();
    let all = policies.iter().flat_map(|policy| &policy.statements);
    let about: Vec<&Statement> = all.filter(|of| is_about(of, &action, question)).collect();
    if about.iter().any(|of| !of.allows) {
        return Answer::Denied { explicit: true };
    }
    match about.first() {
        Some(of) => Answer::Allowed(&of.sid),
        None => Answer::Denied { explicit: false },
    }
}

fn is_about(of: &Statement, action: &str, question: &Question) -> bool {
    of.actions.iter().any(|wanted| wanted.fits(action))
        && of.resources.iter().any(|r| r.fits(&question.resource))
        && of.conditions.iter().all(|c| c.holds(&question.context))
}
