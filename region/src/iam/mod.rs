//! Who may do what? A small part of IAM: policies for access keys, and the
//! refusal of what they do not allow.
//!
//! A key that no policy is known for may do everything, so a region without
//! policies is as open as it always was.
//!
//! ```text
//! policy      the document, read strictly      pattern    what `*` and `?` fit
//! condition   when a statement counts          decide     allowed, and by which
//! ask         what one call must be allowed    ec2, other the resources it touches
//! ```

mod ask;
mod condition;
mod decide;
mod ec2;
mod other;
mod pattern;
mod policy;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

pub(crate) use ask::Question;
pub use policy::{Policy, PolicyError};

use crate::Region;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::{Request, Service, access_key};
use decide::{Answer, decide};
use pattern::Pattern;

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub at: Timestamp,
    pub caller: String,
    /// Whose policies they are that do not allow it.
    pub role: String,
    pub action: String,
    pub resource: String,
}

/// A permission that was made use of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub role: String,
    /// The statement that allowed it.
    pub sid: String,
    pub action: String,
}

#[derive(Debug)]
struct Principal {
    keys: Pattern,
    role: String,
    policies: Vec<Policy>,
}

/// Everyone's policies, and what came of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    principals: Vec<Arc<Principal>>,
    denials: Vec<Denial>,
    uses: BTreeSet<Use>,
    /// KMS refused the key of the volume that is being made: EC2 tells nobody.
    key_refused: bool,
}

impl Region {
    /// From now on, whoever signs with a key that fits `keys` (`*` fits anything)
    /// may do what these policies allow, and no more.
    pub fn permit(&mut self, keys: &str, role: &str, policies: Vec<Policy>) {
        self.guard.principals.push(Arc::new(Principal {
            keys: Pattern::wild(keys),
            role: role.to_owned(),
            policies,
        }));
    }

    /// All that was refused, in order.
    pub fn denials(&self) -> &[Denial] {
        &self.guard.denials
    }

    /// Which permissions were made use of.
    pub fn permissions_used(&self) -> &BTreeSet<Use> {
        &self.guard.uses
    }
}

/// May this call of EC2 or Auto Scaling be made?
pub(crate) fn check_query(
    region: &mut Region,
    service: Service,
    caller: &str,
    request: &Request,
    params: &Params,
    now: Timestamp,
) -> Result<(), ApiError> {
    region.guard.key_refused = false;
    if region.guard.principals.is_empty() {
        return Ok(());
    }
    let action = params.get("Action").unwrap_or_default();
    let questions = match service {
        Service::Ec2 => ec2::questions(region, action, params),
        _ => other::auto_scaling(region, action, params),
    };
    check(region, service, caller, request, questions, now)
}

/// May this call of CloudWatch or SQS be made, which touches one thing?
pub(crate) fn check_one(
    region: &mut Region,
    service: Service,
    caller: &str,
    request: &Request,
    named: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    if region.guard.principals.is_empty() {
        return Ok(());
    }
    let action = crate::wire::action(request);
    let question = match service {
        Service::Sqs => other::sqs(region, &action, named),
        _ => other::cloudwatch(region, &action, named),
    };
    check(region, service, caller, request, vec![question], now)
}

/// Did KMS refuse the key of the volume that this very call makes?
pub(crate) fn key_is_refused(region: &Region) -> bool {
    region.guard.key_refused
}

fn check(
    region: &mut Region,
    service: Service,
    caller: &str,
    request: &Request,
    questions: Vec<Question>,
    now: Timestamp,
) -> Result<(), ApiError> {
    let key = access_key(request).unwrap_or_default();
    let whose = |principal: &&Arc<Principal>| principal.keys.fits(&key);
    let principals: Vec<Arc<Principal>> = region
        .guard
        .principals
        .iter()
        .filter(whose)
        .cloned()
        .collect();
    let Some(first) = principals.first() else {
        return Ok(());
    };
    let policies: Vec<&Policy> = principals.iter().flat_map(|p| p.policies.iter()).collect();
    for question in questions {
        let explicit = match decide(&policies, &question) {
            Answer::Allowed(sid) => {
                region.guard.uses.insert(Use {
                    role: first.role.clone(),
                    sid: sid.to_owned(),
                    action: question.action,
                });
                continue;
            }
            Answer::Denied { explicit } => explicit,
        };
        let who = format!("{}/{key}", first.role);
        let error = refusal(region, service, &who, &question, explicit);
        let is_new_key = question.action.starts_with("kms:") && question.makes_volume;
        region.guard.denials.push(Denial {
            at: now,
            caller: caller.to_owned(),
            role: first.role.clone(),
            action: question.action,
            resource: question.resource,
        });
        // EC2 answers, and asks KMS only then.
        match is_new_key {
            true => region.guard.key_refused = true,
            false => return Err(error),
        }
    }
    Ok(())
}

/// In the service's own words.
fn refusal(
    region: &Region,
    service: Service,
    who: &str,
    question: &Question,
    explicit: bool,
) -> ApiError {
    let Question {
        action, resource, ..
    } = question;
    if action.starts_with("kms:") {
        let message = format!("The key {resource} cannot be used for this volume.");
        return ApiError::new("CustomerKeyHasBeenRevoked", message);
    }
    let why = match explicit {
        true => "with an explicit deny in an identity-based policy".to_owned(),
        false => format!("because no identity-based policy allows the {action} action"),
    };
    let account = &region.settings.account;
    let says = format!(
        "User: arn:aws:sts::{account}:assumed-role/{who} is not authorized to perform: {action} \
         on resource: {resource} {why}"
    );
    match service {
        Service::Ec2 => ApiError::new(
            "UnauthorizedOperation",
            format!("You are not authorized to perform this operation. {says}"),
        ),
        _ => ApiError::new("AccessDenied", says),
    }
    .with_status(403)
}
