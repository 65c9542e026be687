//! How fast may one call? EC2's documented token buckets.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::between;
use crate::settings::Settings;
use crate::wire::Service;
use crate::wire::error::ApiError;
use crate::wire::query::Params;

/// What a bucket holds, and what comes back each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    capacity: u32,
    refill: u32,
}

/// The buckets of one account in this region; each fills up again by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buckets {
    levels: BTreeMap<String, Level>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    tokens: f64,
    at: Timestamp,
}

impl Buckets {
    /// Takes one token for the action, or says that there is none.
    pub(crate) fn take(
        &mut self,
        settings: &Settings,
        service: Service,
        action: &str,
        params: &Params,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        if !settings.throttle {
            return Ok(());
        }
        match service {
            Service::Ec2 => self.take_ec2(action, params, now),
            // One bucket for everything; its size is not published.
            Service::AutoScaling => {
                let size = Size {
                    capacity: 100,
                    refill: 10,
                };
                let refused = || ApiError::new("Throttling", "Rate exceeded");
                self.withdraw("autoscaling", size, 1, now)
                    .then_some(())
                    .ok_or_else(refused)
            }
            _ => Ok(()),
        }
    }

    fn take_ec2(&mut self, action: &str, params: &Params, now: Timestamp) -> Result<(), ApiError> {
        let unbounded = is_unbounded(action, params);
        let bucket = if unbounded {
            format!("{action} without bounds")
        } else {
            action.to_owned()
        };
        let mut granted = self.withdraw(&bucket, call_bucket(action, unbounded), 1, now);
        if let Some((size, instances)) = instance_bucket(action, params) {
            granted =
                granted && self.withdraw(&format!("{action} instances"), size, instances, now);
        }
        if granted {
            return Ok(());
        }
        Err(ApiError::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503))
    }

    fn withdraw(&mut self, bucket: &str, size: Size, tokens: u32, now: Timestamp) -> bool {
        let full = Level {
            tokens: f64::from(size.capacity),
            at: now,
        };
        let level = self.levels.entry(bucket.to_owned()).or_insert(full);
        let refilled = between(level.at, now).as_secs_f64() * f64::from(size.refill);
        level.tokens = (level.tokens + refilled).min(f64::from(size.capacity));
        level.at = now;
        let enough = level.tokens >= f64::from(tokens);
        if enough {
            level.tokens -= f64::from(tokens);
        }
        enough
    }
}

/// A describe with neither filter nor page; ids do not count as either.
fn is_unbounded(action: &str, params: &Params) -> bool {
    let listed = matches!(
        action,
        "DescribeInstances"
            | "DescribeInstanceStatus"
            | "DescribeVolumes"
            | "DescribeSnapshots"
            | "DescribeNetworkInterfaces"
    );
    let bounds = ["Filter.1.Name", "MaxResults", "NextToken"];
    listed && bounds.iter().all(|name| params.get(name).is_none())
}

fn call_bucket(action: &str, unbounded: bool) -> Size {
    let (capacity, refill) = match action {
        _ if unbounded => (50, 10),
        describe if describe.starts_with("Describe") => (100, 20),
        "CreateSnapshot" | "CreateSnapshots" | "CreateVolume" | "DeleteVolume"
        | "DeleteSnapshot" | "TerminateInstances" => (100, 5),
        "CreateTags" | "DeleteTags" => (100, 10),
        "RunInstances" | "StartInstances" => (5, 2),
        _ => (50, 5),
    };
    Size { capacity, refill }
}

/// Calls that name instances pay for each of them, too.
fn instance_bucket(action: &str, params: &Params) -> Option<(Size, u32)> {
    let named = || u32::try_from(params.list("InstanceId").len()).unwrap_or(u32::MAX);
    let launched = || {
        params
            .get("MaxCount")
            .and_then(|count| count.parse().ok())
            .unwrap_or(1)
    };
    match action {
        "RunInstances" => Some((
            Size {
                capacity: 1_000,
                refill: 2,
            },
            launched(),
        )),
        "StartInstances" => Some((
            Size {
                capacity: 1_000,
                refill: 2,
            },
            named(),
        )),
        "StopInstances" | "TerminateInstances" => Some((
            Size {
                capacity: 1_000,
                refill: 20,
            },
            named(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    fn granted(action: &str, body: &str, calls: usize) -> usize {
        let settings = Settings {
            throttle: true,
            ..Settings::default()
        };
        let params = Params::of(&Request {
            body: body.as_bytes().to_vec(),
            ..Request::default()
        });
        let mut buckets = Buckets::default();
        let now = Timestamp::UNIX_EPOCH;
        let mut take = || buckets.take(&settings, Service::Ec2, action, &params, now);
        (0..calls).filter(|_| take().is_ok()).count()
    }

    #[test]
    fn each_action_has_its_documented_capacity() {
        let table = [
            ("DescribeVolumes", "", 50),
            ("DescribeVolumes", "VolumeId.1=vol-0a", 50),
            (
                "DescribeVolumes",
                "Filter.1.Name=status&Filter.1.Value.1=available",
                100,
            ),
            ("DescribeAddresses", "", 100),
            ("AttachVolume", "", 50),
            ("CreateSnapshot", "", 100),
            ("CreateTags", "", 100),
            ("RunInstances", "MaxCount=1", 5),
        ];
        for (action, body, capacity) in table {
            assert_eq!(granted(action, body, 200), capacity, "{action} {body}");
        }
    }

    #[test]
    fn a_bucket_refills_and_says_503_when_empty() {
        let settings = Settings {
            throttle: true,
            ..Settings::default()
        };
        let mut buckets = Buckets::default();
        let mut take = |second| {
            let now = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
            buckets.take(
                &settings,
                Service::Ec2,
                "StartInstances",
                &Params::default(),
                now,
            )
        };
        for _ in 0..5 {
            assert!(take(0).is_ok());
        }
        assert!(take(0).is_err_and(|e| e.status == 503 && e.code == "RequestLimitExceeded"));
        assert!(take(1).is_ok());
        assert!(take(1).is_ok());
        assert!(take(1).is_err());
    }
}
