//! Why this machine did not do what was asked.

/// One sentence for people; what lies behind it is part of the sentence.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The state of the machine forbids it. Nothing was changed.
    #[error("{0}")]
    Refused(String),

    /// Who this machine is cannot be learned.
    #[error(
        "the instance metadata service does not answer ({0}); is this an EC2 instance, with IMDSv2 switched on?"
    )]
    NoMetadata(String),

    /// The system said no.
    #[error("{what}: {why}")]
    System { what: String, why: String },

    /// A program ended badly, or could not be started.
    #[error("`{command}` {says}")]
    Command { command: String, says: String },

    #[error("`{what}` did not end within {seconds} seconds")]
    TimedOut { what: String, seconds: u64 },

    /// A mount point cannot be let go.
    #[error("{mount} is in use by {by}")]
    Busy { mount: String, by: String },
}

impl HostError {
    pub(super) fn system(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::System {
            what: what.into(),
            why: why.to_string(),
        }
    }
}
