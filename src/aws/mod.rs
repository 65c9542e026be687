//! The only place that knows the AWS SDK: what leaves it is the plain data of
//! [`crate::world`], an [`Outcome`] or an [`AwsError`].

mod act;
mod adopt;
mod answer;
mod call;
mod client;
mod convert;
mod describe;
mod errors;
mod existing;
#[cfg(feature = "drill")]
mod express;
mod fits;
#[cfg(all(test, feature = "drill"))]
mod hostile;
mod inspect;
mod lookup;
mod memory;
mod observe;
mod pace;
mod queue;
mod retry;
mod tagging;
mod token;
#[cfg(all(test, feature = "drill"))]
mod wire;
mod xml;

pub use self::act::Outcome;
pub use self::adopt::{Adopted, Adoption};
pub use self::errors::{AwsError, Meaning};
pub use self::observe::Focus;
pub use self::queue::Received;

use self::memory::Memory;
use self::pace::Pace;

/// The AWS of one account and region. Clones share their pace and memory, so
/// that all groups of one process stay inside the same token buckets.
#[derive(Clone)]
pub struct Aws {
    ec2: aws_sdk_ec2::Client,
    autoscaling: aws_sdk_autoscaling::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    sqs: aws_sdk_sqs::Client,
    /// How a drill looks that is in a hurry.
    #[cfg(feature = "drill")]
    express: Option<express::Express>,
    pace: Pace,
    memory: Memory,
}

impl std::fmt::Debug for Aws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Aws")
    }
}
