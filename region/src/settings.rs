//! What can be set about a region: its name, its speed, its lags and its faults.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::latency::{Latencies, Spread};

#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub name: String,
    pub zones: Vec<String>,
    pub account: String,
    pub latency: Latencies,
    /// Every drawn duration is multiplied by this; zero makes everything instant.
    pub latency_scale: f64,
    pub staleness: Staleness,
    /// EC2's documented token buckets.
    pub throttle: bool,
    pub faults: Faults,
    pub queue: QueueSettings,
    /// KMS keys nobody may use: CreateVolume answers 200, then the volume is gone.
    pub refused_keys: BTreeSet<String>,
    /// Does the terminate hook still fire for an instance that was terminated
    /// behind its group's back? Both have been seen.
    pub hook_after_kill: bool,
    /// Instances that Auto Scaling launches are Spot ones, of one-time requests: EC2
    /// does not stop them.
    pub one_time_spot: bool,
    /// Private addresses of each instance. Each can have one Elastic IP, so a
    /// group with several addresses needs as many.
    pub private_addresses: u8,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 1,
            name: "us-east-1".to_owned(),
            zones: ["a", "b", "c"].map(|z| format!("us-east-1{z}")).to_vec(),
            account: "123456789012".to_owned(),
            latency: Latencies::default(),
            latency_scale: 1.0,
            staleness: Staleness::default(),
            throttle: false,
            faults: Faults::default(),
            queue: QueueSettings::default(),
            refused_keys: BTreeSet::new(),
            hook_after_kill: true,
            one_time_spot: false,
            private_addresses: 1,
        }
    }
}

/// How far reads lag behind the truth.
#[derive(Clone, Copy, Debug)]
pub struct Staleness {
    /// Reads by filter or tag, and listings of everything.
    pub filter: Spread,
    /// Reads by id, right after a create.
    pub by_id: Spread,
}

impl Default for Staleness {
    fn default() -> Staleness {
        Staleness {
            filter: Spread::millis(800, 3_000),
            by_id: Spread::millis(300, 900),
        }
    }
}

impl Staleness {
    pub const NONE: Staleness = Staleness {
        filter: Spread::ZERO,
        by_id: Spread::ZERO,
    };
}

/// What goes wrong, by chance. Nothing, unless asked for.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Tried in order for each call; the first that strikes decides.
    pub rules: Vec<FaultRule>,
    /// A detach that never ends, until it is forced or the instance stops.
    pub stuck_detach: f64,
    /// An attach that stays `attaching` until it is detached.
    pub stuck_attach: f64,
    /// A volume that goes to `error` instead of `available`.
    pub volume_error: f64,
    /// A snapshot that goes to `error` instead of `completed`.
    pub snapshot_error: f64,
}

#[derive(Clone, Debug)]
pub struct FaultRule {
    /// An action's name; `*` at the end stands for anything.
    pub action: String,
    /// Only for this caller.
    pub caller: Option<String>,
    pub probability: f64,
    pub strike: Strike,
}

#[derive(Clone, Debug)]
pub enum Strike {
    /// The request never arrives.
    LostBefore,
    /// The change is made; the connection is reset before the answer.
    LostAfter,
    /// The change is made; no answer ever comes.
    TimedOutAfter,
    /// AWS refuses and does nothing.
    Refused(Fault),
    /// What arrives is no answer; every other time the change is made all the same.
    Garbled,
    /// The answer takes this much longer.
    Delayed(Duration),
}

/// An error made up by fault injection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub status: u16,
    pub code: String,
    pub message: String,
}

impl Fault {
    fn new(status: u16, code: &str, message: &str) -> Fault {
        Fault {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    pub fn internal() -> Fault {
        Fault::new(500, "InternalError", "An internal error has occurred")
    }

    pub fn unavailable() -> Fault {
        Fault::new(
            503,
            "Unavailable",
            "The server is overloaded and can't handle the request.",
        )
    }

    /// As EC2 throttles: HTTP 503.
    pub fn request_limit() -> Fault {
        Fault::new(503, "RequestLimitExceeded", "Request limit exceeded.")
    }

    /// As Auto Scaling throttles: HTTP 400.
    pub fn throttling() -> Fault {
        Fault::new(400, "Throttling", "Rate exceeded")
    }

    pub fn denied(action: &str) -> Fault {
        let message = format!("You are not authorized to perform this operation: {action}.");
        Fault::new(403, "UnauthorizedOperation", &message)
    }

    /// There is none left of what the action asks for, in the words of the error codes
    /// of EC2's API reference.
    pub fn exhausted(action: &str) -> Fault {
        match action {
            "StartInstances" => Fault::new(
                500,
                "InsufficientInstanceCapacity",
                "We currently do not have sufficient capacity in the Availability Zone you requested.",
            ),
            "CreateVolume" => Fault::new(
                500,
                "InsufficientVolumeCapacity",
                "There is not enough capacity to fulfill your EBS volume provision request.",
            ),
            "CreateSnapshot" => Fault::new(
                400,
                "SnapshotCreationPerVolumeRateExceeded",
                "The maximum per volume CreateSnapshot request rate has been exceeded.",
            ),
            "AttachVolume" => Fault::new(
                400,
                "AttachmentLimitExceeded",
                "You have reached the limit on the number of volumes for the instance.",
            ),
            _ => Fault::new(400, "ResourceLimitExceeded", "You have reached the limit."),
        }
    }
}

/// How the queue treats its messages. Orderly, unless asked otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueSettings {
    /// Probability that an event is delivered twice.
    pub duplicate: f64,
    /// Probability that an event is never delivered.
    pub loss: f64,
    /// Probability that an event comes much later than those after it.
    pub reorder: f64,
}
