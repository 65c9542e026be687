//! `rehome iam-policy`: the smallest policy with which rehome can work, for a
//! configuration and a place. Asks nobody.

use std::io::{self, Write as _};

use super::{Failure, configuration, groups, print};
use crate::cli::{self, IamPolicy};
use crate::iam::{self, MANAGED_MOST, Place, Scope};
use crate::spec::Config;

pub(super) fn run(options: &IamPolicy) -> Result<(), Failure> {
    let config = configuration(options.configuration.config.as_deref())?;
    let wake = config.wake.clone();
    let groups = groups(config, options.group.as_deref())?;
    let config = Config { groups, wake };
    let scope = Scope::new(
        options.partition.as_deref(),
        options.region.as_deref(),
        options.account.as_deref(),
    );
    let policy = iam::policy(&config, place(options.place), &scope)
        .map_err(|why| Failure::Failed(why.to_string()))?;
    let characters = policy.characters();
    if characters > MANAGED_MOST {
        // A closed stderr is no reason to keep the policy back.
        let _ = writeln!(
            io::stderr(),
            "rehome: this policy has {characters} characters, and a managed policy may have \
             {MANAGED_MOST}: put it inside the role (at most {} there), or split it with --group",
            iam::INLINE_MOST
        );
    }
    print(&format!("{}\n", policy.text()))
}

fn place(place: cli::Place) -> Place {
    match place {
        cli::Place::Instance => Place::Instance,
        cli::Place::Controller => Place::Controller,
        cli::Place::Lambda => Place::Lambda,
        cli::Place::Operator => Place::Operator,
    }
}
