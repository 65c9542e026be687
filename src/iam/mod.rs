//! Which permissions does rehome need, and on what? The smallest policy for a
//! configuration and a place, as pure data: no SDK, no call.
//!
//! ```text
//! mod         the places, and what a policy is asked for
//! needs       what the configuration makes it do
//! statements  the statements themselves, each with its reason
//! document    a policy as IAM reads it    scope   the names of resources
//! ```
//!
//! What a statement says is bound to the group's own things in one of three
//! ways: by name (Auto Scaling groups, members of a pair, addresses, queues),
//! by the tag `rehome:group` (volumes and snapshots), or by the tag that Auto
//! Scaling itself gives its members.

mod document;
mod needs;
mod scope;
mod statements;

pub use self::document::{Condition, OneOrMany, Policy, Statement};
pub use self::scope::Scope;
use crate::spec::Config;
use needs::Needs;

/// As long as a managed policy may be, white space not counted.
pub const MANAGED_MOST: usize = 6_144;
/// As long as all policies inside one role may be together.
pub const INLINE_MOST: usize = 10_240;

/// Where rehome runs, and so under whose role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On an instance of the group.
    Instance,
    /// A daemon elsewhere.
    Controller,
    /// A function.
    Lambda,
    /// At a person's terminal: all commands but `adopt`.
    Operator,
}

impl Place {
    pub const ALL: [Self; 4] = [
        Self::Instance,
        Self::Controller,
        Self::Lambda,
        Self::Operator,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Controller => "controller",
            Self::Lambda => "lambda",
            Self::Operator => "operator",
        }
    }
}

/// Why there is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPolicy {
    #[error(
        "every group says agent = false: rehome does not run on their instances, so these need no permission"
    )]
    NoAgent,
    #[error(
        "the policy has {0} characters, and all policies inside one role may have {INLINE_MOST} together; \
         give each controller fewer groups: --group NAME prints the policy of one"
    )]
    TooLong(usize),
}

/// The smallest policy with which rehome can do its work at this place.
///
/// # Errors
/// When it would never be used there, or is longer than IAM takes.
pub fn policy(config: &Config, place: Place, scope: &Scope) -> Result<Policy, NoPolicy> {
    let needs = Needs::of(config, place).ok_or(NoPolicy::NoAgent)?;
    let policy = Policy::new(statements::all(&needs, scope));
    match policy.characters() {
        too_many if too_many > INLINE_MOST => Err(NoPolicy::TooLong(too_many)),
        _ => Ok(policy),
    }
}

#[cfg(test)]
mod tests;
