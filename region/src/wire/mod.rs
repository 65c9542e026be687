//! The wire protocols: what arrives is decoded here, what is answered is written here.

pub(crate) mod cbor;
pub(crate) mod document;
pub(crate) mod error;
pub(crate) mod flat;
pub(crate) mod json;
pub(crate) mod query;
pub(crate) mod xml;

use std::collections::BTreeMap;

/// An HTTP request, as plain data.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub host: String,
    pub path: String,
    /// Without the question mark.
    pub query: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// An HTTP response, as plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        let headers = [("content-type".to_owned(), content_type.to_owned())].into();
        Response {
            status,
            headers,
            body: body.into(),
        }
    }
}

/// Which of the region's services a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Ec2,
    AutoScaling,
    CloudWatch,
    Sqs,
    Imds,
    Unknown,
}

impl Service {
    /// The host says nothing when the region is served on one port, so the
    /// protocol decides: each service has marks of its own.
    pub(crate) fn of(request: &Request) -> Service {
        if request.host.starts_with("169.254.169.254") || request.path.starts_with("/latest/") {
            return Service::Imds;
        }
        if request
            .path
            .contains("/service/GraniteServiceVersion20100801/")
        {
            return Service::CloudWatch;
        }
        match request.headers.get("x-amz-target").map(String::as_str) {
            Some(target) if target.starts_with("AmazonSQS.") => return Service::Sqs,
            Some(target) if target.starts_with("GraniteServiceVersion20100801.") => {
                return Service::CloudWatch;
            }
            _ => {}
        }
        match query::value(request, "Version").as_deref() {
            Some("2016-11-15") => Service::Ec2,
            Some("2011-01-01") => Service::AutoScaling,
            Some("2010-08-01") => Service::CloudWatch,
            _ => Service::Unknown,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Ec2 => "ec2",
            Service::AutoScaling => "autoscaling",
            Service::CloudWatch => "cloudwatch",
            Service::Sqs => "sqs",
            Service::Imds => "imds",
            Service::Unknown => "unknown",
        }
    }
}

/// The action a request asks for, as the service names it.
pub fn action(request: &Request) -> String {
    if Service::of(request) == Service::Imds {
        return format!("{} {}", request.method, request.path);
    }
    if let Some(target) = request.headers.get("x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    if let Some((_, operation)) = request.path.rsplit_once("/operation/") {
        return operation.to_owned();
    }
    query::value(request, "Action").unwrap_or_default()
}

/// Whoever signed the request, by the access key id.
pub(crate) fn access_key(request: &Request) -> Option<String> {
    let credential = request
        .headers
        .get("authorization")?
        .split_once("Credential=")?
        .1;
    let key = credential.split(['/', ',', ' ']).next()?;
    (!key.is_empty()).then(|| key.to_owned())
}

/// What a query action answers, in its service's envelope.
pub(crate) fn answer(
    service: Service,
    action: &str,
    inside: &xml::Xml,
    request_id: &str,
) -> Response {
    let mut document = xml::Xml::document();
    let root = format!("{action}Response");
    match service {
        Service::AutoScaling => {
            document.root(
                &root,
                "http://autoscaling.amazonaws.com/doc/2011-01-01/",
                |xml| {
                    xml.node(&format!("{action}Result"), |xml| xml.raw(inside));
                    xml.node("ResponseMetadata", |xml| xml.leaf("RequestId", request_id));
                },
            );
        }
        _ => document.root(&root, "http://ec2.amazonaws.com/doc/2016-11-15/", |xml| {
            xml.leaf("requestId", request_id);
            xml.raw(inside);
        }),
    }
    let mut response = Response::new(200, "text/xml;charset=UTF-8", document.finish());
    response
        .headers
        .insert("x-amzn-requestid".to_owned(), request_id.to_owned());
    response
}

/// The resources a request names, for the record.
pub(crate) fn targets(params: &query::Params) -> Vec<String> {
    params.any_of(&[
        "AutoScalingGroupName",
        "AutoScalingGroupNames",
        "VolumeId",
        "SnapshotId",
        "AllocationId",
        "AssociationId",
        "InstanceId",
        "InstanceIds",
        "InstanceSpecification.InstanceId",
        "ResourceId",
        "AvailabilityZone",
    ])
}
