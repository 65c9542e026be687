//! What does an error of AWS mean, and what does a person do about it?

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What a caller can do about an error, whatever its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Too many calls; this one was not carried out.
    Throttled,
    /// AWS cannot now; whether it did something is not known.
    Unavailable,
    /// Time-out or broken connection; whether it was carried out is not known.
    NoAnswer,
    /// AWS wants some time between two such calls.
    TooSoon,
    /// Not allowed, or not with these credentials.
    Denied,
    NotFound,
    /// The resource is not in a state for this: ready not yet, or no longer.
    IncorrectState,
    InUse,
    /// The client token belongs to another request, or to something deleted.
    TokenBurned,
    LimitExceeded,
    /// The credentials or the request itself, by the clocks' difference.
    Expired,
    /// No lifecycle action is open: completed, timed out, or not yet begun.
    NoActiveAction,
    Validation,
    /// This machine has no region or no credentials.
    Setup,
    Other,
}

/// One failed call, or a failed start.
#[derive(Debug)]
pub struct AwsError {
    /// What was being done, as in "attach vol-1 to i-2".
    pub doing: String,
    /// The IAM name of the action, `ec2:AttachVolume`; empty for a failed start.
    pub action: &'static str,
    pub code: String,
    pub message: String,
    pub meaning: Meaning,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl AwsError {
    /// The role may not do this: only a person can mend that.
    pub fn is_denied(&self) -> bool {
        self.meaning == Meaning::Denied
    }

    /// Does it say that what was to be captured is beyond AWS's own reach? Not what
    /// time or a person can mend: a rate, a quota, a permission.
    pub fn is_beyond_reach(&self) -> bool {
        matches!(
            self.meaning,
            Meaning::Unavailable | Meaning::NoAnswer | Meaning::IncorrectState | Meaning::Other
        )
    }

    pub(super) fn setup(
        doing: &str,
        message: &str,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            doing: doing.to_owned(),
            action: "",
            code: String::new(),
            message: message.to_owned(),
            meaning: Meaning::Setup,
            source,
        }
    }

    /// AWS answered, but not with what it promises.
    pub(super) fn odd(doing: &str, action: &'static str, message: impl Into<String>) -> Self {
        Self {
            doing: doing.to_owned(),
            action,
            code: String::new(),
            message: message.into(),
            meaning: Meaning::Other,
            source: None,
        }
    }

    /// What came is no answer to this call. Asked again, AWS may give one.
    pub(super) fn garbled(doing: &str, action: &'static str, message: impl Into<String>) -> Self {
        Self {
            meaning: Meaning::Unavailable,
            ..Self::odd(doing, action, message)
        }
    }

    pub(super) fn from_sdk<E>(
        doing: &str,
        action: &'static str,
        error: SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let answered = |code: &str, message: &str, meaning| Self {
            doing: doing.to_owned(),
            action,
            code: code.to_owned(),
            message: without_secrets(message).to_owned(),
            meaning,
            source: None,
        };
        match error {
            SdkError::ServiceError(context) => {
                let metadata = context.err().meta();
                let code = metadata.code().unwrap_or_default();
                let message = metadata.message().unwrap_or_default();
                let status = context.raw().status().as_u16();
                let meaning = meaning(code, message, status);
                match (code, message) {
                    ("", "") => answered("", &format!("it is refused with HTTP {status}"), meaning),
                    _ => answered(code, message, meaning),
                }
            }
            unread @ SdkError::ResponseError(_) => {
                let raw = unread.raw_response();
                let status = raw.map_or(0, |raw| raw.status().as_u16());
                let message = format!("the answer (HTTP {status}) cannot be read");
                let meaning = match status {
                    429 => Meaning::Throttled,
                    _ => Meaning::Unavailable,
                };
                Self {
                    source: unread.into_source().ok(),
                    ..answered("", &message, meaning)
                }
            }
            unsent => Self::unanswered(doing, action, unsent.into()),
        }
    }

    fn unanswered(doing: &str, action: &'static str, error: Box<dyn Error + Send + Sync>) -> Self {
        let (meaning, message) = if lacks_credentials(error.as_ref()) {
            (
                Meaning::Setup,
                "there are no valid credentials; check the role or profile in use",
            )
        } else {
            (Meaning::NoAnswer, "AWS gave no answer")
        };
        Self {
            doing: doing.to_owned(),
            action,
            code: String::new(),
            message: message.to_owned(),
            meaning,
            source: Some(error),
        }
    }

    /// May the call have been carried out all the same?
    pub(super) fn outcome_is_unknown(&self) -> bool {
        matches!(self.meaning, Meaning::Unavailable | Meaning::NoAnswer)
    }

    /// Is it worth asking again the same way?
    pub(super) fn is_passing(&self) -> bool {
        self.meaning == Meaning::Throttled || self.outcome_is_unknown()
    }

    /// Does the message name this very id (and not one that it begins)?
    pub(super) fn names(&self, id: &str) -> bool {
        self.message.match_indices(id).any(|(at, _)| {
            let after = self.message.get(at + id.len()..).unwrap_or_default();
            !after.starts_with(|next: char| next.is_ascii_alphanumeric())
        })
    }

    /// The action that lacks a permission. One call may need several: who makes
    /// a volume with tags on it makes, and tags. SQS names it in small letters,
    /// as no policy does.
    fn refused(&self) -> &str {
        let said = self.message.split_once("not authorized to perform: ");
        let named = said.and_then(|(_, rest)| rest.split(' ').next());
        let is_name = |action: &&str| action.contains(':') && **action != action.to_lowercase();
        let named = named.filter(is_name);
        named.unwrap_or(self.action)
    }

    /// What to do next, where that is known.
    fn advice(&self) -> Option<String> {
        let known = match self.code.as_str() {
            "CustomerKeyHasBeenRevoked" => {
                "let the role use the volume's KMS key (kms:CreateGrant, kms:Decrypt)"
            }
            "InvalidClientTokenId" | "SignatureDoesNotMatch" | "MissingAuthenticationToken" => {
                "check the credentials"
            }
            "SnapshotCreationPerVolumeRateExceeded" => {
                "AWS wants 15 seconds between two snapshots of one volume"
            }
            "ConcurrentSnapshotLimitExceeded" => {
                "wait for the volume's pending snapshots, and delete failed ones"
            }
            "InvalidVolume.ZoneMismatch" => "the volume has to be made anew in the instance's zone",
            "AttachmentLimitExceeded" => {
                "the instance type takes no more volumes; choose a larger one"
            }
            "InvalidSnapshot.InUse" => {
                "an image uses the snapshot; deregister it or remove the rehome tags"
            }
            "Gateway.NotAttached" => "attach an internet gateway to the network",
            "AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist" | "InvalidAddress" => {
                "make the queue, or name one of this account and region"
            }
            "InvalidParameterValue" if self.message.contains("already in use") => {
                "choose another device in the configuration"
            }
            _ => match self.meaning {
                Meaning::Denied => {
                    return Some(format!("allow {} for the role in use", self.refused()));
                }
                Meaning::Expired => "check this machine's clock, and renew the credentials",
                Meaning::LimitExceeded => "raise the quota, or delete what is not needed",
                _ => return None,
            },
        };
        Some(known.to_owned())
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: ", self.doing)?;
        let message = self.message.trim().trim_end_matches('.');
        match (self.code.as_str(), message) {
            ("", message) => f.write_str(message)?,
            (code, "") => f.write_str(code)?,
            (code, message) => write!(f, "{code}, {message}")?,
        }
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl Error for AwsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The encoded part of a refusal is for a machine that may decode it: it is
/// long, and says nothing to whoever reads the log.
fn without_secrets(message: &str) -> &str {
    message
        .split("Encoded authorization failure message")
        .next()
        .unwrap_or(message)
        .trim()
}

fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut layer = Some(error);
    while let Some(error) = layer {
        if error.is::<CredentialsError>() {
            return true;
        }
        layer = error.source();
    }
    false
}

/// The one table of codes. The message decides only where AWS uses one code
/// for several things.
fn meaning(code: &str, message: &str, status: u16) -> Meaning {
    match code {
        "RequestLimitExceeded"
        | "EC2ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "SlowDown"
        | "PriorRequestNotComplete" => Meaning::Throttled,
        // Someone else is writing the same tags or group: a matter of moments.
        "ConcurrentTagAccess" | "ResourceContention" | "ResourceInUse" => Meaning::Unavailable,
        "InternalError"
        | "InternalFailure"
        | "InternalServiceError"
        | "ServiceUnavailable"
        | "Unavailable"
        | "InsufficientVolumeCapacity"
        | "InsufficientInstanceCapacity"
        | "InsufficientCapacity" => Meaning::Unavailable,
        "SnapshotCreationPerVolumeRateExceeded" => Meaning::TooSoon,
        "UnauthorizedOperation"
        | "AccessDenied"
        | "AccessDeniedException"
        | "AuthFailure"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "UnrecognizedClientException"
        | "OptInRequired"
        | "PendingVerification"
        | "Blocked"
        | "KmsAccessDenied"
        | "KMS.AccessDeniedException"
        | "CustomerKeyHasBeenRevoked" => Meaning::Denied,
        "RequestExpired" | "ExpiredToken" | "ExpiredTokenException" => Meaning::Expired,
        "IncorrectState"
        | "IncorrectInstanceState"
        | "InvalidInstanceID"
        | "ScalingActivityInProgress" => Meaning::IncorrectState,
        "VolumeInUse" | "InvalidSnapshot.InUse" | "Resource.AlreadyAssociated" => Meaning::InUse,
        "IdempotentParameterMismatch" => Meaning::TokenBurned,
        "ValidationError" if message.contains("No active Lifecycle Action") => {
            Meaning::NoActiveAction
        }
        "ValidationError" if message.contains("not found") => Meaning::NotFound,
        "AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist" => Meaning::NotFound,
        "ValidationError"
        | "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "InvalidAddress"
        | "MissingParameter"
        | "InvalidAction"
        | "UnknownOperation"
        | "EncryptedVolumesNotSupported"
        | "InvalidVolume.ZoneMismatch"
        | "UnsupportedOperation" => Meaning::Validation,
        _ if message.contains("resource that is already deleted") => Meaning::TokenBurned,
        _ if code.ends_with(".NotFound") => Meaning::NotFound,
        _ if code.ends_with("LimitExceeded") => Meaning::LimitExceeded,
        _ if code.ends_with(".Malformed") => Meaning::Validation,
        _ if status == 429 => Meaning::Throttled,
        _ if status >= 500 => Meaning::Unavailable,
        // AWS says by a code what it refuses; somebody on the way does not.
        "" => Meaning::Unavailable,
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    fn error(code: &str, message: &str) -> AwsError {
        AwsError {
            doing: "attach vol-1 to i-2".to_owned(),
            action: "ec2:AttachVolume",
            code: code.to_owned(),
            message: without_secrets(message).to_owned(),
            meaning: meaning(code, message, 400),
            source: None,
        }
    }

    #[test]
    fn each_code_has_its_meaning() {
        let table = [
            ("RequestLimitExceeded", "", 503, Meaning::Throttled),
            ("Throttling", "Rate exceeded", 400, Meaning::Throttled),
            ("InternalError", "", 500, Meaning::Unavailable),
            ("ResourceContention", "", 500, Meaning::Unavailable),
            ("ConcurrentTagAccess", "", 400, Meaning::Unavailable),
            ("InsufficientVolumeCapacity", "", 500, Meaning::Unavailable),
            (
                "SnapshotCreationPerVolumeRateExceeded",
                "",
                400,
                Meaning::TooSoon,
            ),
            (
                "ConcurrentSnapshotLimitExceeded",
                "",
                400,
                Meaning::LimitExceeded,
            ),
            ("VolumeLimitExceeded", "", 400, Meaning::LimitExceeded),
            ("UnauthorizedOperation", "", 403, Meaning::Denied),
            ("AccessDenied", "", 403, Meaning::Denied),
            ("RequestExpired", "", 400, Meaning::Expired),
            ("InvalidVolume.NotFound", "", 400, Meaning::NotFound),
            ("InvalidAttachment.NotFound", "", 400, Meaning::NotFound),
            ("InvalidAllocationID.NotFound", "", 400, Meaning::NotFound),
            ("InvalidVolume.ZoneMismatch", "", 400, Meaning::Validation),
            (
                "IncorrectState",
                "vol-1 is not 'available'",
                400,
                Meaning::IncorrectState,
            ),
            (
                "InvalidInstanceID",
                "The pending instance",
                400,
                Meaning::IncorrectState,
            ),
            ("VolumeInUse", "", 400, Meaning::InUse),
            ("InvalidSnapshot.InUse", "", 400, Meaning::InUse),
            ("IdempotentParameterMismatch", "", 400, Meaning::TokenBurned),
            (
                "InvalidRequest",
                "The client token you have provided is associated with a resource that is already deleted.",
                400,
                Meaning::TokenBurned,
            ),
            (
                "ValidationError",
                "No active Lifecycle Action found with instance ID i-1",
                400,
                Meaning::NoActiveAction,
            ),
            (
                "ValidationError",
                "Group name not found",
                400,
                Meaning::NotFound,
            ),
            (
                "ValidationError",
                "Tag is invalid",
                400,
                Meaning::Validation,
            ),
            ("", "", 502, Meaning::Unavailable),
            ("", "", 429, Meaning::Throttled),
            ("", "", 403, Meaning::Unavailable),
            ("", "", 404, Meaning::Unavailable),
            ("SomethingNew", "", 400, Meaning::Other),
        ];
        for (code, message, status, expected) in table {
            assert_eq!(meaning(code, message, status), expected, "{code} {status}");
        }
    }

    #[test]
    fn what_time_or_a_person_can_mend_is_not_beyond_reach() {
        let is_beyond_reach = |code: &&str| error(code, "").is_beyond_reach();
        let dark = ["InternalError", "IncorrectState", "SomethingNew"];
        assert!(dark.iter().all(is_beyond_reach));
        let mended = [
            "RequestLimitExceeded",
            "SnapshotCreationPerVolumeRateExceeded",
            "ConcurrentSnapshotLimitExceeded",
            "UnauthorizedOperation",
            "RequestExpired",
        ];
        assert!(!mended.iter().any(is_beyond_reach));
    }

    #[test]
    fn a_refusal_names_action_and_resource_and_drops_the_encoded_part() {
        let text = error(
            "UnauthorizedOperation",
            "You are not authorized to perform: ec2:AttachVolume on resource: arn:aws:ec2:x:1:volume/vol-1. \
             Encoded authorization failure message: AbCdEf",
        )
        .to_string();
        assert_eq!(
            text,
            "could not attach vol-1 to i-2: UnauthorizedOperation, You are not authorized to perform: \
             ec2:AttachVolume on resource: arn:aws:ec2:x:1:volume/vol-1; allow ec2:AttachVolume for the role in use"
        );
        // The tags of a call that makes something are a permission of their own.
        let within = error(
            "UnauthorizedOperation",
            "User: x is not authorized to perform: ec2:CreateTags on resource: y",
        );
        assert!(
            within
                .to_string()
                .ends_with("; allow ec2:CreateTags for the role in use")
        );
        let small = error(
            "AccessDenied",
            "User: x is not authorized to perform: ec2:attachvolume on resource: y",
        );
        assert!(
            small
                .to_string()
                .ends_with("; allow ec2:AttachVolume for the role in use")
        );
    }

    #[test]
    fn a_taken_device_says_what_to_change() {
        let text = error(
            "InvalidParameterValue",
            "Invalid value '/dev/sdf' for unixDevice. Attachment point /dev/sdf is already in use",
        )
        .to_string();
        assert!(text.contains("/dev/sdf"), "{text}");
        assert!(
            text.ends_with("choose another device in the configuration"),
            "{text}"
        );
    }

    #[test]
    fn a_transport_error_is_the_source_and_is_not_repeated() {
        let broken = std::io::Error::other("connection reset by peer");
        let error = AwsError::unanswered("look", "ec2:DescribeVolumes", Box::new(broken));
        assert_eq!(error.meaning, Meaning::NoAnswer);
        assert!(error.outcome_is_unknown());
        assert_eq!(error.to_string(), "could not look: AWS gave no answer");
        assert!(error.source().is_some());
    }

    #[test]
    fn missing_credentials_are_seen_through_the_layers() {
        let inner = CredentialsError::not_loaded("nowhere");
        let outer = ConnectorError::other(inner.into(), None);
        let error = AwsError::unanswered("look", "ec2:DescribeVolumes", Box::new(outer));
        assert_eq!(error.meaning, Meaning::Setup);
        assert!(!error.is_passing());
    }

    #[test]
    fn an_id_is_named_only_whole() {
        let error = error(
            "InvalidVolume.NotFound",
            "The volumes 'vol-12, vol-3' do not exist",
        );
        assert!(error.names("vol-12") && error.names("vol-3"));
        assert!(!error.names("vol-1") && !error.names("vol-4"));
    }
}
