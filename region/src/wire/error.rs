//! How does AWS say no? Both XML dialects, and the error every action returns.

use std::fmt;

use super::xml::Xml;
use super::{Response, Service};

/// An error of the API: a code for machines, one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> ApiError {
        ApiError {
            status: 400,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn with_status(mut self, status: u16) -> ApiError {
        self.status = status;
        self
    }

    pub(crate) fn missing(parameter: &str) -> ApiError {
        let message = format!("The request must contain the parameter {parameter}");
        ApiError::new("MissingParameter", message)
    }

    pub(crate) fn invalid(parameter: &str, value: &str) -> ApiError {
        let message = format!("Value ({value}) for parameter {parameter} is invalid.");
        ApiError::new("InvalidParameterValue", message)
    }

    pub(crate) fn incorrect_state(message: impl Into<String>) -> ApiError {
        ApiError::new("IncorrectState", message)
    }

    pub(crate) fn internal() -> ApiError {
        ApiError::new("InternalError", "An internal error has occurred").with_status(500)
    }

    pub(crate) fn unknown_action(action: &str) -> ApiError {
        let message = format!("The action {action} is not valid for this web service.");
        ApiError::new("InvalidAction", message)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// The error as the service's XML dialect writes it.
pub(crate) fn respond(service: Service, error: &ApiError, request_id: &str) -> Response {
    let mut xml = Xml::document();
    match service {
        Service::Ec2 | Service::Unknown => ec2_dialect(&mut xml, error, request_id),
        _ => query_dialect(&mut xml, error, request_id),
    }
    let mut response = Response::new(error.status, "text/xml;charset=UTF-8", xml.finish());
    response
        .headers
        .insert("x-amzn-requestid".to_owned(), request_id.to_owned());
    response
}

fn ec2_dialect(xml: &mut Xml, error: &ApiError, request_id: &str) {
    xml.node("Response", |xml| {
        xml.node("Errors", |xml| {
            xml.node("Error", |xml| {
                xml.leaf("Code", &error.code);
                xml.leaf("Message", &error.message);
            });
        });
        xml.leaf("RequestID", request_id);
    });
}

fn query_dialect(xml: &mut Xml, error: &ApiError, request_id: &str) {
    let sender = if error.status < 500 {
        "Sender"
    } else {
        "Receiver"
    };
    xml.node("ErrorResponse", |xml| {
        xml.node("Error", |xml| {
            xml.leaf("Type", sender);
            xml.leaf("Code", &error.code);
            xml.leaf("Message", &error.message);
        });
        xml.leaf("RequestId", request_id);
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_dialect_has_its_own_shape() {
        let error = ApiError::new("IncorrectState", "vol-1 is not 'available' & <ready>");
        let text = |service| String::from_utf8(respond(service, &error, "r-1").body).unwrap();
        let ec2 = text(Service::Ec2);
        assert!(
            ec2.contains("<Response><Errors><Error><Code>IncorrectState</Code>"),
            "{ec2}"
        );
        assert!(ec2.contains("&amp; &lt;ready&gt;"), "{ec2}");
        assert!(
            ec2.ends_with("<RequestID>r-1</RequestID></Response>"),
            "{ec2}"
        );
        let query = text(Service::AutoScaling);
        assert!(
            query.contains("<ErrorResponse><Error><Type>Sender</Type>"),
            "{query}"
        );
        assert!(
            query.ends_with("<RequestId>r-1</RequestId></ErrorResponse>"),
            "{query}"
        );
    }
}
