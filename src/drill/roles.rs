//! Under whose role does each runner work? With exactly the policy that
//! `rehome iam-policy` prints for its place, always: a drill in which anything
//! is refused has found a permission that is missing.

use std::collections::BTreeSet;

use rehome_region::Region;
use rehome_region::iam::{Denial, Policy};

use super::perform::OPERATOR;
use crate::iam::{self, Place, Scope};
use crate::report::{Permission, Verdict};
use crate::spec::{Config, GroupSpec, Wake};

/// A statement that somebody's policy lacks: so that a test can show that its
/// absence is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    pub place: Place,
    pub sid: String,
}

/// Everyone signs with their own name: that is the access key here.
fn keys(place: Place) -> &'static str {
    match place {
        Place::Instance => "i-*",
        // There may be a second one.
        Place::Controller => "controller*",
        Place::Lambda => "function",
        Place::Operator => OPERATOR,
    }
}

/// Gives the runners at all places their policies.
pub fn give(region: &mut Region, spec: &GroupSpec, lack: Option<&Lack>) {
    let config = Config {
        groups: vec![spec.clone()],
        wake: Wake::default(),
    };
    for place in Place::ALL {
        let lack = lack.filter(|lack| lack.place == place);
        permit(region, &config, place, keys(place), lack);
    }
}

/// Gives whoever signs with these keys the policy of one place, and no other.
/// Where nothing of rehome runs, nothing is allowed.
pub fn permit(region: &mut Region, config: &Config, place: Place, keys: &str, lack: Option<&Lack>) {
    let settings = region.settings();
    let scope = Scope::new(None, Some(&settings.name), Some(&settings.account));
    let policies = match iam::policy(config, place, &scope) {
        Err(_) => Vec::new(),
        Ok(mut policy) => {
            if let Some(lack) = lack {
                policy.statement.retain(|of| of.sid != lack.sid);
            }
            // What the region cannot read, it lets nobody do.
            Policy::parse(&policy.text()).into_iter().collect()
        }
    };
    region.permit(keys, place.name(), policies);
}

/// What the policies were used for.
pub fn used(region: &Region) -> BTreeSet<Permission> {
    let uses = region.permissions_used().iter();
    uses.map(|of| Permission {
        place: of.role.clone(),
        sid: of.sid.clone(),
        action: of.action.clone(),
    })
    .collect()
}

/// What was refused, in a sentence; none where nothing was.
pub fn refusal(region: &Region) -> Option<String> {
    let (first, more) = region.denials().split_first()?;
    let Denial {
        caller,
        role,
        action,
        resource,
        ..
    } = first;
    let more = match more.len() {
        0 => String::new(),
        n => format!(", and {n} more calls were refused"),
    };
    Some(format!(
        "{caller} may not {action} on {resource}: no statement of `rehome iam-policy --place {role}` \
         allows it{more}"
    ))
}

/// A check that is made always, and told only where it is broken.
pub fn broken(region: &Region) -> Option<Verdict> {
    refusal(region).map(|detail| Verdict {
        name: "every call is allowed by its place's policy".to_owned(),
        held: false,
        detail,
    })
}
