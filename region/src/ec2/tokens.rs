//! Was this client token used before, and for what?

use std::collections::BTreeMap;

use crate::wire::error::ApiError;

/// The client tokens of one region, each with what it was used for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    used: BTreeMap<(&'static str, String), Used>,
}

#[derive(Clone, Debug)]
struct Used {
    fingerprint: String,
    made: Vec<String>,
}

impl Tokens {
    /// What an earlier call with this token made, if it asked for the same.
    pub(crate) fn replay(
        &self,
        action: &'static str,
        token: &str,
        fingerprint: &str,
    ) -> Result<Option<Vec<String>>, ApiError> {
        match self.used.get(&(action, token.to_owned())) {
            None => Ok(None),
            Some(used) if used.fingerprint == fingerprint => Ok(Some(used.made.clone())),
            Some(_) => Err(ApiError::new(
                "IdempotentParameterMismatch",
                "The client token you have provided is associated with a resource that was made with other parameters. \
                 Please use a different client token.",
            )),
        }
    }

    pub(crate) fn keep(
        &mut self,
        action: &'static str,
        token: &str,
        fingerprint: String,
        made: Vec<String>,
    ) {
        self.used
            .insert((action, token.to_owned()), Used { fingerprint, made });
    }
}
