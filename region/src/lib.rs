//! An emulated AWS region: EC2, EBS, Elastic IPs, Auto Scaling, CloudWatch alarms
//! and SQS behind their real wire protocols, as one synchronous state machine.
//!
//! Time is a parameter, everything random is drawn from seeded streams, and no
//! clock, socket or thread is touched: the same seed and the same requests at the
//! same times give the same bytes. It is strict where other fakes are lenient.
//!
//! ```text
//! lib        the Region: what arrives is dispatched, what is due is run
//! wire/      requests decoded, answers written
//! ec2/       instances, volumes, snapshots, addresses, tags
//! autoscaling/, cloudwatch, sqs, events, imds
//! iam        who may do what
//! guest      the operating system inside an instance; content: what it writes
//! nature     what people and nature do: kill, crash, darken a zone
//! faults, garble   what becomes of a call, and of its answer, on its way
//! model      the state     engine: what is due     record: what happened
//! ```

#![forbid(unsafe_code)]

pub mod autoscaling;
pub mod cloudwatch;
mod content;
mod critical_path;
mod ec2;
mod engine;
mod events;
mod faults;
mod garble;
mod guest;
pub mod iam;
mod imds;
mod latency;
pub mod model;
mod nature;
pub mod record;
mod serve;
mod settings;
pub mod sqs;
mod throttle;
mod truth;
mod wire;

use std::time::Duration;

use jiff::Timestamp;

pub use autoscaling::setup::{GroupSetup, HookSetup};
pub use critical_path::CriticalPath;
pub use faults::{Fate, Trip};
pub use guest::{GuestDevice, GuestError};
pub use latency::{Delay, Latencies, Spread};
pub use record::{Closed, Entry, Outcome, Record, What};
pub use serve::{Witness, serve, serve_witnessed};
pub use settings::{Fault, FaultRule, Faults, QueueSettings, Settings, Staleness, Strike};
pub use truth::Truth;
pub use wire::{Request, Response, action};

use engine::{Due, Engine};
use model::Model;
use wire::Service;
use wire::error::ApiError;
use wire::query::Params;

/// For whoever plays the guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// User data begins to run.
    Booted { instance: String },
    /// The operating system is gone: halted, crashed or cut off from power.
    Halted { instance: String },
}

#[derive(Clone, Debug)]
pub struct Region {
    settings: Settings,
    now: Timestamp,
    model: Model,
    engine: Engine,
    dice: latency::Dice,
    record: Record,
    notices: Vec<Notice>,
    index: ec2::index::Index,
    tokens: ec2::tokens::Tokens,
    guard: iam::Guard,
    buckets: throttle::Buckets,
    incidents: critical_path::Incidents,
    /// Numbers orders (attach, stop …), so that the end of an earlier one is
    /// told from the end of a later one.
    orders: u64,
    /// An answer that was spoiled, and to which action: it may come back as the
    /// answer to another.
    overheard: Option<(String, Response)>,
}

impl Region {
    pub fn new(settings: Settings, now: Timestamp) -> Region {
        let dice = latency::Dice::new(settings.seed);
        let mut region = Region {
            settings,
            now,
            model: Model::default(),
            engine: Engine::default(),
            dice,
            record: Record::default(),
            notices: Vec::new(),
            index: ec2::index::Index::default(),
            tokens: ec2::tokens::Tokens::default(),
            guard: iam::Guard::default(),
            buckets: throttle::Buckets::default(),
            incidents: critical_path::Incidents::default(),
            orders: 0,
            overheard: None,
        };
        sqs::open(&mut region, now);
        region
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Faults can be switched while the region runs.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// How long this request is willing to wait for what it asks for, which is
    /// not there yet: a receive from an empty queue. None for every other.
    pub fn patience(&self, request: &Request, now: Timestamp) -> Option<std::time::Duration> {
        sqs::patience(self, request, now)
    }

    /// Advances to `now`, then answers. No bytes make it panic.
    pub fn handle(&mut self, caller: &str, request: &Request, now: Timestamp) -> Response {
        self.advance(now);
        let now = self.now;
        let service = Service::of(request);
        let response = match service {
            Service::Imds => return imds::handle(self, caller, request, now),
            Service::CloudWatch => cloudwatch::handle(self, caller, request, now),
            Service::Sqs => sqs::handle(self, caller, request, now),
            Service::Ec2 | Service::AutoScaling | Service::Unknown => {
                self.handle_query(service, caller, request, now)
            }
        };
        critical_path::look(self, now);
        response
    }

    fn handle_query(
        &mut self,
        service: Service,
        caller: &str,
        request: &Request,
        now: Timestamp,
    ) -> Response {
        let params = Params::of(request);
        let action = params.get("Action").unwrap_or_default().to_owned();
        let answer = self
            .buckets
            .take(&self.settings, service, &action, &params, now)
            .and_then(|()| iam::check_query(self, service, caller, request, &params, now))
            .and_then(|()| match service {
                Service::Ec2 => ec2::handle(self, caller, &action, &params, now),
                Service::AutoScaling => autoscaling::handle(self, caller, &action, &params, now),
                _ => Err(ApiError::unknown_action(&action)),
            });
        let outcome = answer.as_ref().err().map(|error| error.code.clone());
        self.log_call(caller, service, &action, &params, outcome, now);
        let request_id = self.dice.uuid("request");
        match answer {
            Ok(inside) => wire::answer(service, &action, &inside, &request_id),
            Err(error) => wire::error::respond(service, &error, &request_id),
        }
    }

    fn log_call(
        &mut self,
        caller: &str,
        service: Service,
        action: &str,
        params: &Params,
        error: Option<String>,
        now: Timestamp,
    ) {
        let outcome = error.map_or(Outcome::Ok, Outcome::Error);
        let target = wire::targets(params).join(" ");
        let what = What::Call {
            service: service.name().to_owned(),
            action: action.to_owned(),
            target,
            outcome,
        };
        self.record.push(now, caller, what);
    }

    /// Runs everything that is due up to `now`, in order. Time never goes back.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((at, due)) = self.engine.pop(now) {
            self.now = self.now.max(at);
            self.run(due, self.now);
            critical_path::look(self, self.now);
        }
        self.now = self.now.max(now);
    }

    fn run(&mut self, due: Due, now: Timestamp) {
        if let Some(zone) = ec2::dark_zone_of(self, &due) {
            self.engine.hold(&zone, due);
            return;
        }
        match due {
            Due::Group(due) => autoscaling::due(self, due, now),
            Due::Alarm(due) => cloudwatch::due(self, due, now),
            Due::Deliver(delivery) => events::deliver(self, delivery, now),
            due => ec2::due(self, due, now),
        }
    }

    /// When the next change comes by itself.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.engine.next()
    }

    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    /// One entry for each time a serving instance went away.
    pub fn incident_paths(&self) -> Vec<CriticalPath> {
        self.incidents.paths()
    }

    // What every part of the region uses.

    /// A duration of this kind, scaled.
    fn draw(&mut self, delay: Delay) -> Duration {
        let spread = match delay {
            Delay::FilterLag => self.settings.staleness.filter,
            Delay::ByIdLag => self.settings.staleness.by_id,
            other => self.settings.latency.spread(other),
        };
        let drawn = self.dice.delay(delay, spread);
        self.scaled(drawn)
    }

    fn scaled(&self, duration: Duration) -> Duration {
        let scale = self.settings.latency_scale.clamp(0.0, 1_000.0);
        // Nanoseconds of a millisecond's fraction help nobody to read a timeline.
        Duration::from_micros((duration.as_secs_f64() * scale * 1_000_000.0).round() as u64)
    }

    /// Plans `due` for a freshly drawn delay from `now`, and says what was drawn.
    fn plan(&mut self, delay: Delay, due: Due, now: Timestamp) -> Duration {
        let drawn = self.draw(delay);
        self.engine.plan(after(now, drawn), due);
        drawn
    }

    fn log(&mut self, now: Timestamp, who: &str, what: What) {
        critical_path::note(self, &what);
        self.record.push(now, who, what);
    }

    fn next_order(&mut self) -> u64 {
        self.orders += 1;
        self.orders
    }
}

/// `now + delay`, at most the end of time.
fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// How long from `a` until `b`; nothing if `b` comes first.
fn between(a: Timestamp, b: Timestamp) -> Duration {
    Duration::try_from(b.duration_since(a)).unwrap_or(Duration::ZERO)
}
