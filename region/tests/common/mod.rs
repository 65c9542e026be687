//! A region and a caller with a clock in its hand.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use jiff::Timestamp;
use rehome_region::model::Volume;
use rehome_region::record::Tags;
use rehome_region::{Region, Request, Settings, What};

pub(crate) struct World {
    pub(crate) region: Region,
    pub(crate) now: Timestamp,
}

/// The code of an error and its HTTP status.
pub(crate) type Answer = Result<String, (u16, String)>;

impl World {
    pub(crate) fn new() -> World {
        World::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> World {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        World {
            region: Region::new(settings, now),
            now,
        }
    }

    pub(crate) fn wait(&mut self, seconds: f64) {
        self.now = self
            .now
            .checked_add(Duration::from_secs_f64(seconds))
            .unwrap();
        self.region.advance(self.now);
    }

    /// Waits until this is so; an hour at most.
    pub(crate) fn until(&mut self, what: &str, so: impl Fn(&Region) -> bool) {
        for _ in 0..36_000 {
            if so(&self.region) {
                return;
            }
            self.wait(0.1);
        }
        panic!("an hour went by without: {what}");
    }

    pub(crate) fn call(&mut self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let response = self
            .region
            .handle("me", &request(action, parameters), self.now);
        let body = String::from_utf8(response.body).unwrap();
        if response.status == 200 {
            Ok(body)
        } else {
            Err((response.status, field(&body, "Code")))
        }
    }

    /// Calls, and gives the text of one element of the answer.
    pub(crate) fn get(
        &mut self,
        action: &str,
        parameters: &[(&str, &str)],
        element: &str,
    ) -> String {
        let body = self
            .call(action, parameters)
            .unwrap_or_else(|e| panic!("{action}: {e:?}"));
        field(&body, element)
    }

    pub(crate) fn refused(&mut self, action: &str, parameters: &[(&str, &str)]) -> String {
        self.call(action, parameters)
            .err()
            .map(|(_, code)| code)
            .unwrap_or_default()
    }

    /// An instance of the service `db` that is up.
    pub(crate) fn machine(&mut self, zone: &str) -> String {
        let id = self
            .region
            .run_instance(zone, Some("db"), Tags::new(), self.now);
        self.until("boot", |region| {
            region.record().entries().iter().any(|e| {
                e.what
                    == What::Booted {
                        instance: id.clone(),
                    }
            })
        });
        id
    }

    /// A volume with a file system that `machine` writes to.
    pub(crate) fn database(&mut self, machine: &str, zone: &str) -> String {
        let volume = self.region.create_volume(zone, 10, Tags::new(), self.now);
        assert!(
            self.region
                .attach_volume(&volume, machine, "/dev/sdf", self.now)
        );
        self.region
            .guest_format(machine, &volume, "ext4", self.now)
            .unwrap();
        self.serve(machine, &volume);
        volume
    }

    pub(crate) fn serve(&mut self, machine: &str, volume: &str) {
        self.region
            .guest_mount(machine, volume, "/data", self.now)
            .unwrap();
        self.region
            .guest_start_unit(machine, "db.service", self.now)
            .unwrap();
    }

    pub(crate) fn quiesce(&mut self, machine: &str) {
        self.region
            .guest_stop_unit(machine, "db.service", self.now)
            .unwrap();
        self.region
            .guest_unmount(machine, "/data", self.now)
            .unwrap();
    }

    pub(crate) fn volume(&self, id: &str) -> Volume {
        self.region.truth().volumes.get(id).unwrap().clone()
    }

    pub(crate) fn attachment(&self, id: &str) -> String {
        self.volume(id)
            .attachment
            .map(|a| a.state.as_str().to_owned())
            .unwrap_or_default()
    }

    pub(crate) fn free(&mut self, volume: &str) {
        self.until("the volume is free", |region| {
            region
                .truth()
                .volumes
                .get(volume)
                .is_some_and(|v| v.attachment.is_none())
        });
    }

    pub(crate) fn completed(&mut self, snapshot: &str) {
        self.until("the snapshot is completed", |region| {
            region
                .truth()
                .snapshots
                .get(snapshot)
                .is_some_and(|s| s.completed.is_some())
        });
    }

    pub(crate) fn attached(&mut self, volume: &str) {
        self.until("the volume is attached", |region| {
            let attachment = region
                .truth()
                .volumes
                .get(volume)
                .and_then(|v| v.attachment.clone());
            attachment.is_some_and(|a| a.state.as_str() == "attached")
        });
    }

    pub(crate) fn count(&self, so: impl Fn(&What) -> bool) -> usize {
        self.region
            .record()
            .entries()
            .iter()
            .filter(|entry| so(&entry.what))
            .count()
    }
}

pub(crate) fn request(action: &str, parameters: &[(&str, &str)]) -> Request {
    let mut body = format!("Action={action}&Version=2016-11-15");
    for (name, value) in parameters {
        body.push_str(&format!("&{name}={value}"));
    }
    Request {
        method: "POST".to_owned(),
        host: "ec2.us-east-1.amazonaws.com".to_owned(),
        path: "/".to_owned(),
        body: body.into_bytes(),
        ..Request::default()
    }
}

/// The text of the first element of this name.
pub(crate) fn field(body: &str, element: &str) -> String {
    let open = format!("<{element}>");
    let rest = body
        .split_once(&open)
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    rest.split_once("</")
        .map(|(text, _)| text.to_owned())
        .unwrap_or_default()
}

pub(crate) fn items(body: &str, element: &str) -> usize {
    body.matches(&format!("<{element}>")).count()
}
