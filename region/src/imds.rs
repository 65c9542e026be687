//! The instance metadata service, version 2: what an instance can learn about itself.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::ec2::zones;
use crate::model::{Instance, InstanceState};
use crate::wire::{Request, Response};
use crate::{Region, after, autoscaling};

const TOKEN_TTL_S_MAX: u64 = 21_600;
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const ROLE: &str = "instance-role";
/// The credentials of a role are good for this long.
const CREDENTIALS_TTL: Duration = Duration::from_secs(6 * 3600);

/// None of it is in the record: it is no call of AWS's API, and an instance asks
/// each second.
pub(crate) fn handle(region: &Region, caller: &str, request: &Request, now: Timestamp) -> Response {
    let machine = region.model.instances.get(caller);
    let Some(machine) = machine.filter(|machine| machine.state != InstanceState::Terminated) else {
        return refuse(404, "Not Found");
    };
    if request.path == "/latest/api/token" {
        return give_token(region, machine, request, now);
    }
    if request.method != "GET" {
        return refuse(405, "Method Not Allowed");
    }
    let token = request.headers.get(TOKEN_HEADER);
    if !token.is_some_and(|token| token_is_good(region, &machine.id, token, now)) {
        return refuse(401, "Unauthorized");
    }
    match find(region, machine, request.path.trim_end_matches('/'), now) {
        Some(text) => Response::new(200, "text/plain", text),
        None => refuse(404, "Not Found"),
    }
}

fn refuse(status: u16, title: &str) -> Response {
    Response::new(status, "text/plain", format!("{status} - {title}\n"))
}

fn give_token(region: &Region, machine: &Instance, request: &Request, now: Timestamp) -> Response {
    if request.method != "PUT" {
        return refuse(405, "Method Not Allowed");
    }
    // A request that came through a proxy gets no token.
    if request.headers.contains_key("x-forwarded-for") {
        return refuse(403, "Forbidden");
    }
    let ttl = request
        .headers
        .get(TTL_HEADER)
        .and_then(|ttl| ttl.parse::<u64>().ok());
    let Some(ttl) = ttl.filter(|ttl| (1..=TOKEN_TTL_S_MAX).contains(ttl)) else {
        return refuse(400, "Bad Request");
    };
    let until = after(now, Duration::from_secs(ttl)).as_millisecond();
    let token = format!("{until:016x}{:016x}", seal(region, &machine.id, until));
    let mut response = Response::new(200, "text/plain", token);
    response
        .headers
        .insert(TTL_HEADER.to_owned(), ttl.to_string());
    response
}

/// A token holds its own end and a seal for this instance: nothing needs to be remembered.
fn token_is_good(region: &Region, instance: &str, token: &str, now: Timestamp) -> bool {
    let until = token
        .get(..16)
        .and_then(|text| i64::from_str_radix(text, 16).ok());
    let given = token
        .get(16..)
        .and_then(|text| u64::from_str_radix(text, 16).ok());
    until.is_some_and(|until| {
        now.as_millisecond() < until && given == Some(seal(region, instance, until))
    })
}

fn seal(region: &Region, instance: &str, until: i64) -> u64 {
    let text = format!("{}/{instance}/{until}", region.settings.seed);
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn find(region: &Region, machine: &Instance, path: &str, now: Timestamp) -> Option<String> {
    if path == "/latest/dynamic/instance-identity/document" {
        return Some(identity(region, machine));
    }
    let item = path
        .strip_prefix("/latest/meta-data")?
        .trim_start_matches('/');
    if let Some(key) = item.strip_prefix("tags/instance/") {
        return machine
            .tags
            .get(key)
            .filter(|_| named_plainly(key))
            .cloned();
    }
    if item.strip_prefix("iam/security-credentials/") == Some(ROLE) {
        return Some(credentials(machine, now));
    }
    let text = match item {
        "" => "ami-id\nautoscaling/\nevents/\niam/\ninstance-id\ninstance-type\nlocal-ipv4\nplacement/\npublic-ipv4\nspot/\ntags/".to_owned(),
        "ami-id" => machine.image.clone(),
        "autoscaling/target-lifecycle-state" => autoscaling::target_of(region, &machine.id)?.to_owned(),
        "events/maintenance/scheduled" => "[]".to_owned(),
        "events/recommendations/rebalance" => {
            let noticed = machine.spot_notice?;
            json!({ "noticeTime": seconds(noticed - Duration::from_secs(120)) }).to_string()
        }
        "iam/info" => json!({ "Code": "Success", "LastUpdated": seconds(machine.launched) }).to_string(),
        "iam/security-credentials" => ROLE.to_owned(),
        "instance-id" => machine.id.clone(),
        "instance-type" => machine.kind.clone(),
        "local-ipv4" => machine.private_ips.first()?.clone(),
        "placement" => "availability-zone\navailability-zone-id\nregion".to_owned(),
        "placement/availability-zone" => machine.zone.clone(),
        "placement/availability-zone-id" => zones::zone_id(region, &machine.zone),
        "placement/region" => region.settings.name.clone(),
        "public-ipv4" => public_ip(region, machine)?,
        "spot/instance-action" => {
            json!({ "action": "terminate", "time": seconds(machine.spot_notice?) }).to_string()
        }
        "tags/instance" => {
            let keys = machine.tags.keys().filter(|key| named_plainly(key));
            keys.cloned().collect::<Vec<_>>().join("\n")
        }
        _ => return None,
    };
    Some(text)
}

/// Keys with spaces or slashes cannot be asked for.
fn named_plainly(key: &str) -> bool {
    !key.contains([' ', '/'])
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn public_ip(region: &Region, machine: &Instance) -> Option<String> {
    let mut addresses = region.model.addresses.values();
    let own = addresses.find(|address| address.instance.as_deref() == Some(machine.id.as_str()));
    own.map(|address| address.public_ip.clone())
        .or_else(|| machine.public_ip.clone())
}

/// The access key is the instance's id: that is how the region knows its callers.
fn credentials(machine: &Instance, now: Timestamp) -> String {
    let credentials = json!({
        "Code": "Success",
        "LastUpdated": seconds(now),
        "Type": "AWS-HMAC",
        "AccessKeyId": machine.id,
        "SecretAccessKey": "emulated",
        "Token": "emulated",
        "Expiration": seconds(after(now, CREDENTIALS_TTL)),
    });
    credentials.to_string()
}

fn identity(region: &Region, machine: &Instance) -> String {
    let document = json!({
        "accountId": region.settings.account,
        "architecture": "x86_64",
        "availabilityZone": machine.zone,
        "imageId": machine.image,
        "instanceId": machine.id,
        "instanceType": machine.kind,
        "pendingTime": seconds(machine.launched),
        "privateIp": machine.private_ips.first(),
        "region": region.settings.name,
        "version": "2017-09-30",
    });
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn ask(
        region: &mut Region,
        caller: &str,
        method: &str,
        path: &str,
        header: (&str, &str),
    ) -> (u16, String) {
        let headers = [(header.0.to_owned(), header.1.to_owned())].into();
        let request = Request {
            method: method.to_owned(),
            host: "169.254.169.254".to_owned(),
            path: path.to_owned(),
            headers,
            ..Request::default()
        };
        let now = region.now;
        let response = region.handle(caller, &request, now);
        (response.status, String::from_utf8(response.body).unwrap())
    }

    #[test]
    fn nothing_is_told_without_a_token_and_a_token_ends() {
        let mut region = Region::new(Settings::default(), at(0));
        let tags = [
            ("Name".to_owned(), "db".to_owned()),
            ("a b".to_owned(), "c".to_owned()),
        ]
        .into();
        let id = region.run_instance("us-east-1b", None, tags, at(0));
        region.advance(at(100));
        let path = "/latest/meta-data/instance-id";
        assert_eq!(ask(&mut region, &id, "GET", path, ("x", "y")).0, 401);
        assert_eq!(
            ask(
                &mut region,
                &id,
                "PUT",
                "/latest/api/token",
                (TTL_HEADER, "0")
            )
            .0,
            400
        );
        let (status, token) = ask(
            &mut region,
            &id,
            "PUT",
            "/latest/api/token",
            (TTL_HEADER, "60"),
        );
        assert_eq!(status, 200);
        let mut get = |path: &str| ask(&mut region, &id, "GET", path, (TOKEN_HEADER, &token));
        assert_eq!(get(path), (200, id.clone()));
        assert_eq!(
            get("/latest/meta-data/placement/availability-zone").1,
            "us-east-1b"
        );
        assert_eq!(
            get("/latest/meta-data/placement/availability-zone-id").1,
            "use1-az2"
        );
        assert_eq!(get("/latest/meta-data/tags/instance/Name").1, "db");
        assert_eq!(get("/latest/meta-data/tags/instance").1, "Name");
        assert_eq!(get("/latest/meta-data/spot/instance-action").0, 404);
        assert_eq!(
            get("/latest/meta-data/autoscaling/target-lifecycle-state").0,
            404
        );
        region.advance(at(161));
        assert_eq!(
            ask(&mut region, &id, "GET", path, (TOKEN_HEADER, &token)).0,
            401
        );
        assert_eq!(
            ask(
                &mut region,
                "i-0stranger",
                "GET",
                path,
                (TOKEN_HEADER, &token)
            )
            .0,
            404
        );
    }
}
