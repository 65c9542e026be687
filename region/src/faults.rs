//! What becomes of one call on its way? Latency, and faults by choice.

use std::time::Duration;

use jiff::Timestamp;

use crate::latency::Delay;
use crate::settings::{Fault, FaultRule, Strike};
use crate::wire::error::{self, ApiError};
use crate::wire::query::Params;
use crate::wire::{self, Request, Response, Service};
use crate::{Outcome, Region, What};

/// The way of one call, drawn before it is handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    pub outbound: Duration,
    pub inbound: Duration,
    pub fate: Fate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Handle it after `outbound`, hand over the answer after `inbound`.
    Delivered,
    /// It never reached AWS: do not handle it; the connection fails or hangs.
    LostBefore,
    /// Handle it, then lose the answer: the connection is reset.
    LostAfter,
    /// Handle it; no answer ever comes.
    TimedOutAfter,
    /// Handle it or not; answer with `Region::garble`.
    Garbled { handled: bool },
    /// Do not handle it; answer with `Region::refusal`.
    Refused(Fault),
}

impl Region {
    /// Latency and fate of one call. A caller in a dark zone reaches nothing but
    /// its own metadata service.
    pub fn trip(&mut self, caller: &str, request: &Request, now: Timestamp) -> Trip {
        let service = Service::of(request);
        if service == Service::Imds {
            let millisecond = Duration::from_millis(1);
            return Trip {
                outbound: millisecond,
                inbound: millisecond,
                fate: Fate::Delivered,
            };
        }
        let action = wire::action(request);
        let round = self.draw(kind_of(&action));
        let mut trip = Trip {
            outbound: round / 2,
            inbound: round - round / 2,
            fate: Fate::Delivered,
        };
        if self.in_the_dark(caller) {
            trip.fate = Fate::LostBefore;
        } else {
            for rule in self.settings.faults.rules.clone() {
                if self.strikes(&rule, caller, &action) {
                    let handled = self.dice.chance("handled", 0.5);
                    apply(&rule.strike, &mut trip, handled);
                    break;
                }
            }
        }
        self.log_fate(caller, service, &action, request, &trip.fate, now);
        trip
    }

    /// The answer to a call whose fate is `Refused`, in its service's own words.
    pub fn refusal(&mut self, request: &Request, fault: &Fault) -> Response {
        let error = ApiError::new(&fault.code, fault.message.clone()).with_status(fault.status);
        let request_id = self.dice.uuid("refusal");
        match Service::of(request) {
            Service::CloudWatch => crate::cloudwatch::refuse(request, &error),
            Service::Sqs => crate::sqs::refuse(&error),
            service => error::respond(service, &error, &request_id),
        }
    }

    fn in_the_dark(&self, caller: &str) -> bool {
        let zone = self
            .model
            .instances
            .get(caller)
            .map(|instance| &instance.zone);
        zone.is_some_and(|zone| self.model.dark_zones.contains(zone))
    }

    fn strikes(&mut self, rule: &FaultRule, caller: &str, action: &str) -> bool {
        let named = match rule.action.strip_suffix('*') {
            Some(beginning) => action.starts_with(beginning),
            None => rule.action == action,
        };
        let meant = rule.caller.as_ref().is_none_or(|c| c == caller);
        named && meant && self.dice.chance("fault", rule.probability)
    }

    /// What never reaches a service is recorded here; the rest when it is handled.
    fn log_fate(
        &mut self,
        caller: &str,
        service: Service,
        action: &str,
        request: &Request,
        fate: &Fate,
        now: Timestamp,
    ) {
        let outcome = match fate {
            Fate::LostBefore | Fate::Garbled { handled: false } => Outcome::Lost,
            Fate::Refused(fault) => Outcome::Error(fault.code.clone()),
            Fate::Delivered
            | Fate::LostAfter
            | Fate::TimedOutAfter
            | Fate::Garbled { handled: true } => return,
        };
        let target = wire::targets(&Params::of(request)).join(" ");
        let service = service.name().to_owned();
        self.record.push(
            now,
            caller,
            What::Call {
                service,
                action: action.to_owned(),
                target,
                outcome,
            },
        );
    }
}

fn apply(strike: &Strike, trip: &mut Trip, handled: bool) {
    match strike {
        Strike::LostBefore => trip.fate = Fate::LostBefore,
        Strike::LostAfter => trip.fate = Fate::LostAfter,
        Strike::TimedOutAfter => trip.fate = Fate::TimedOutAfter,
        Strike::Refused(fault) => trip.fate = Fate::Refused(fault.clone()),
        Strike::Garbled => trip.fate = Fate::Garbled { handled },
        Strike::Delayed(delay) => trip.inbound = trip.inbound.saturating_add(*delay),
    }
}

fn kind_of(action: &str) -> Delay {
    let reads = ["Describe", "Get", "List", "Receive"]
        .iter()
        .any(|verb| action.starts_with(verb));
    if reads {
        Delay::DescribeTrip
    } else {
        Delay::MutateTrip
    }
}
