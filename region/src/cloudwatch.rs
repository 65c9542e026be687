//! CloudWatch's side of the wire: alarms and the metrics they watch.
//!
//! Three protocols carry the same documents: Smithy RPC v2 CBOR (what the SDKs
//! send today), AWS JSON 1.0, and query/XML (what they sent before).

mod alarms;
mod evaluate;
mod rule;
mod state;

use jiff::Timestamp;

use crate::wire::document::{Document, map};
use crate::wire::error::ApiError;
use crate::wire::{self, Request, Response, Service, cbor, flat, json};
use crate::{Outcome, Region, What, iam};

pub(crate) use evaluate::{instance_changed, zone_changed};
pub use state::{Alarm, State};

/// An alarm is evaluated.
#[derive(Clone, Debug)]
pub(crate) struct AlarmDue {
    pub(crate) alarm: String,
}

/// The newest value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Datapoint {
    pub value: f64,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Cbor,
    Json,
    Query,
}

impl Protocol {
    fn of(request: &Request) -> Protocol {
        if request.path.contains("/service/") {
            Protocol::Cbor
        } else if request.headers.contains_key("x-amz-target") {
            Protocol::Json
        } else {
            Protocol::Query
        }
    }
}

pub(crate) fn handle(
    region: &mut Region,
    caller: &str,
    request: &Request,
    now: Timestamp,
) -> Response {
    let action = wire::action(request);
    let protocol = Protocol::of(request);
    let (target, answer) = match decode(protocol, request) {
        Ok(input) => {
            let named = targets(&input);
            let allowed = iam::check_one(region, Service::CloudWatch, caller, request, &named, now);
            let answer = allowed.and_then(|()| answer(region, &action, &input, now));
            (named, answer)
        }
        Err(why) => (String::new(), Err(why)),
    };
    let outcome = answer
        .as_ref()
        .err()
        .map_or(Outcome::Ok, |error| Outcome::Error(error.code.clone()));
    region.log(
        now,
        caller,
        What::Call {
            service: "cloudwatch".to_owned(),
            action: action.clone(),
            target,
            outcome,
        },
    );
    let request_id = region.dice.uuid("request");
    let mut response = match answer {
        Ok(output) => encode(protocol, &action, &output, &request_id),
        Err(error) => refuse(request, &error),
    };
    response
        .headers
        .insert("x-amzn-requestid".to_owned(), request_id);
    response
}

pub(crate) fn due(region: &mut Region, due: AlarmDue, now: Timestamp) {
    evaluate::look(region, &due.alarm, now);
}

fn answer(region: &mut Region, action: &str, input: &Document, now: Timestamp) -> alarms::Answer {
    match action {
        "PutMetricAlarm" => alarms::put_metric(region, input, now),
        "PutCompositeAlarm" => alarms::put_composite(region, input, now),
        "DescribeAlarms" => alarms::describe(region, input),
        "SetAlarmState" => alarms::set_state(region, input, now),
        "DeleteAlarms" => alarms::delete(region, input),
        "PutMetricData" => alarms::put_data(region, input, now),
        _ => Err(ApiError::unknown_action(action)),
    }
}

fn targets(input: &Document) -> String {
    let mut names = input.texts("AlarmNames");
    names.extend(
        ["AlarmName", "Namespace"]
            .iter()
            .filter_map(|key| input.text(key))
            .map(str::to_owned),
    );
    names.join(" ")
}

fn decode(protocol: Protocol, request: &Request) -> Result<Document, ApiError> {
    let broken = |why: String| {
        ApiError::new(
            "SerializationException",
            format!("The request body cannot be read: {why}"),
        )
    };
    if request.headers.contains_key("content-encoding") {
        return Err(broken(
            "compressed bodies are not understood here".to_owned(),
        ));
    }
    match protocol {
        _ if request.body.is_empty() && protocol != Protocol::Query => Ok(alarms::nothing()),
        Protocol::Cbor => cbor::decode(&request.body).map_err(|why| broken(why.to_string())),
        Protocol::Json => json::decode(&request.body).map_err(|why| broken(why.to_string())),
        Protocol::Query => Ok(flat::decode(request)),
    }
}

fn encode(protocol: Protocol, action: &str, output: &Document, request_id: &str) -> Response {
    match protocol {
        Protocol::Cbor => cbor_response(200, output),
        Protocol::Json => Response::new(200, "application/x-amz-json-1.0", json::encode(output)),
        Protocol::Query => {
            let namespace = "http://monitoring.amazonaws.com/doc/2010-08-01/";
            Response::new(
                200,
                "text/xml",
                flat::encode(action, namespace, output, request_id),
            )
        }
    }
}

fn cbor_response(status: u16, body: &Document) -> Response {
    let mut response = Response::new(status, "application/cbor", cbor::encode(body));
    response
        .headers
        .insert("smithy-protocol".to_owned(), "rpc-v2-cbor".to_owned());
    response
}

/// An error in CloudWatch's own words, in the protocol of the request.
pub(crate) fn refuse(request: &Request, error: &ApiError) -> Response {
    // The newer protocols name shapes, older clients expect the codes of the query protocol.
    let shape = match error.code.as_str() {
        "AccessDenied" => "AccessDeniedException",
        "InvalidAction" => "UnknownOperationException",
        "InvalidParameterCombination" => "InvalidParameterCombinationException",
        "InvalidParameterValue" => "InvalidParameterValueException",
        "MissingParameter" => "MissingRequiredParameterException",
        code => code,
    };
    let kind = format!("com.amazonaws.cloudwatch#{shape}");
    let body = map([
        ("__type", Some(kind.into())),
        ("message", Some(error.message.as_str().into())),
    ]);
    let mut response = match Protocol::of(request) {
        Protocol::Cbor => cbor_response(error.status, &body),
        Protocol::Json => Response::new(
            error.status,
            "application/x-amz-json-1.0",
            json::encode(&body),
        ),
        Protocol::Query => return wire::error::respond(Service::CloudWatch, error, ""),
    };
    let sender = if error.status < 500 {
        "Sender"
    } else {
        "Receiver"
    };
    response.headers.insert(
        "x-amzn-query-error".to_owned(),
        format!("{};{sender}", error.code),
    );
    response
}

/// A status-check alarm of an instance; without one, an alarm on something that
/// the region does not know, which stays as people set it.
pub(crate) fn put_by_hand(region: &mut Region, name: &str, instance: Option<&str>, now: Timestamp) {
    let (namespace, metric) = match instance {
        Some(_) => ("AWS/EC2", "StatusCheckFailed"),
        None => ("Drill", "Anything"),
    };
    let dimension = instance.map(|id| {
        let of = map([
            ("Name", Some("InstanceId".into())),
            ("Value", Some(id.into())),
        ]);
        Document::List(vec![of])
    });
    let input = map([
        ("AlarmName", Some(name.into())),
        ("Namespace", Some(namespace.into())),
        ("MetricName", Some(metric.into())),
        ("Dimensions", dimension),
        ("Period", Some(Document::Int(60))),
        ("EvaluationPeriods", Some(Document::Int(1))),
        ("Statistic", Some("Maximum".into())),
        ("Threshold", Some(Document::Float(0.0))),
        ("ComparisonOperator", Some("GreaterThanThreshold".into())),
        // An instance that is down reports nothing.
        ("TreatMissingData", Some("breaching".into())),
    ]);
    // Every member is given, so it cannot be refused.
    let _ = alarms::put_metric(region, &input, now);
}

pub(crate) fn set_by_hand(region: &mut Region, name: &str, state: &str, now: Timestamp) {
    if let Some(state) = State::parse(state) {
        let reason = "Set by hand.".to_owned();
        evaluate::change(region, name, state, reason, None, now);
    }
}
