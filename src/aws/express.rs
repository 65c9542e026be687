//! How does a drill of many thousand failovers look at its region? By the SDK's own
//! serializers and parsers, without the orchestrator around them.
//!
//! Nine tenths of a simulation's calls are looks, and most of what a look costs is
//! the SDK's: interceptors, endpoint rules, signatures, and an answer that is parsed
//! again although it says what the last one said. None of that is what a drill looks
//! for. Everything that is decided here (time-outs, which answer is none, what an
//! error means) is decided as it is there: a drill says the same either way, to the
//! byte (`tests/drill.rs`).

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::rc::Rc;

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::interceptors::context::{Error as Erased, Input};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{
    DeserializeResponse, SerializeRequest, SharedRequestSerializer, SharedResponseDeserializer,
};
use aws_smithy_types::config_bag::{ConfigBag, Layer};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::answer;
use super::client::ATTEMPT;
use super::describe::Describe;

/// So many answers are kept in mind at most.
const REMEMBERED: usize = 64;
/// What the SDK draws for each call, from where our pauses are drawn.
const SDK_NUMBERS: std::ops::Range<u32> = 1_000_000..10_000_000;
const NO_WRITER: &str = "the SDK does not say how this is written";

/// What the SDK knows of one request: what is asked, and how it is written and read.
pub(super) struct Parts {
    input: Input,
    operation: ConfigBag,
}

impl Parts {
    pub(super) fn new(
        input: impl fmt::Debug + Send + Sync + 'static,
        operation: &impl RuntimePlugin,
    ) -> Self {
        let mut bag = ConfigBag::base();
        if let Some(layer) = operation.config() {
            bag.push_shared_layer(layer);
        }
        bag.push_layer(Layer::new("express"));
        Self {
            input: Input::erase(input),
            operation: bag,
        }
    }
}

/// One caller's way to the region.
#[derive(Clone)]
pub(super) struct Express {
    /// Whose role it is: all that the region reads of a signature.
    authorization: String,
    connector: SharedHttpConnector,
    time: SharedTimeSource,
    /// By what was asked: the last answer, and what was read in it.
    remembered: Rc<RefCell<BTreeMap<Vec<u8>, Remembered>>>,
}

struct Remembered {
    answer: Vec<u8>,
    output: Box<dyn Any>,
}

impl Express {
    pub(super) fn new(
        access_key: &str,
        connector: impl HttpConnector + 'static,
        time: impl TimeSource + 'static,
    ) -> Self {
        Self {
            authorization: format!("AWS4-HMAC-SHA256 Credential={access_key}/"),
            connector: SharedHttpConnector::new(connector),
            time: SharedTimeSource::new(time),
            remembered: Rc::default(),
        }
    }

    pub(super) async fn ask<D: Describe>(
        &self,
        request: &D,
    ) -> Result<D::Output, SdkError<D::Error, HttpResponse>> {
        // It draws only if somebody may read its logs, and so does this.
        let _ = tracing::debug_span!("express", number = fastrand::u32(SDK_NUMBERS));
        let Parts {
            input,
            mut operation,
        } = request.parts().map_err(SdkError::construction_failure)?;
        let writer = operation.load::<SharedRequestSerializer>().cloned();
        let writer = writer.ok_or_else(|| SdkError::construction_failure(NO_WRITER))?;
        let mut request = writer
            .serialize_input(input, &mut operation)
            .map_err(SdkError::construction_failure)?;
        let headers = request.headers_mut();
        headers.insert("authorization", self.authorization.clone());
        // AWS carries out nothing that was signed long ago.
        headers.insert("x-amz-date", self.date());
        let asked = request.body().bytes().unwrap_or_default().to_vec();
        let answer = tokio::time::timeout(ATTEMPT, self.connector.call(request)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(SdkError::dispatch_failure(error)),
            Err(late) => return Err(SdkError::timeout_error(late)),
        };
        if let Some(output) = self.recall::<D>(&asked, &answer) {
            return Ok(output);
        }
        match read::<D>(&operation, &answer) {
            Ok(output) => {
                self.remember(asked, &answer, output.clone());
                Ok(output)
            }
            Err(Unread::Refused(error)) => Err(SdkError::service_error(error, answer)),
            Err(Unread::Garbled(why)) => Err(SdkError::response_error(why, answer)),
        }
    }

    fn date(&self) -> String {
        let now = Timestamp::try_from(self.time.now()).unwrap_or_default();
        let now = now.to_zoned(TimeZone::UTC);
        now.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// What the same question was answered with last time, if the answer is the same.
    fn recall<D: Describe>(&self, asked: &[u8], answer: &HttpResponse) -> Option<D::Output> {
        let remembered = self.remembered.borrow();
        let last = remembered.get(asked)?;
        let says = answer.body().bytes()?;
        let is_same = answer.status().is_success()
            && last.answer.len() == says.len()
            && beside_its_number(&last.answer) == beside_its_number(says);
        last.output
            .downcast_ref::<D::Output>()
            .filter(|_| is_same)
            .cloned()
    }

    fn remember(&self, asked: Vec<u8>, answer: &HttpResponse, output: impl Any) {
        let mut remembered = self.remembered.borrow_mut();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        let answer = answer.body().bytes().unwrap_or_default().to_vec();
        let output = Box::new(output);
        remembered.insert(asked, Remembered { answer, output });
    }
}

/// Why there is no output.
enum Unread<E> {
    /// AWS says no, and why.
    Refused(E),
    Garbled(BoxError),
}

/// As the SDK reads it, and then once more as every answer is.
fn read<D: Describe>(
    operation: &ConfigBag,
    answer: &HttpResponse,
) -> Result<D::Output, Unread<D::Error>> {
    let unknown = || Unread::Garbled("the SDK does not say how this is read".into());
    let reader = operation.load::<SharedResponseDeserializer>();
    let reader = reader.ok_or_else(unknown)?;
    answer::is_bounded(answer).map_err(Unread::Garbled)?;
    // Whatever the SDK made of it, as it asks its interceptors: 204 is no refusal.
    if let Some(asked) = operation.load::<Metadata>() {
        answer::is_whole(asked, answer).map_err(Unread::Garbled)?;
    }
    reader
        .deserialize_nonstreaming_with_config(answer, operation)
        .map_err(refusal)?
        .downcast()
        .map_err(|_| Unread::Garbled("it is the answer to another request".into()))
}

fn refusal<E: Error + Send + Sync + 'static>(error: OrchestratorError<Erased>) -> Unread<E> {
    let mut refused = None;
    error.map_operation_error(|error| refused = error.downcast::<E>().ok());
    let garbled = || Unread::Garbled("the SDK cannot read it".into());
    refused.map_or_else(garbled, Unread::Refused)
}

/// What stands before and after the number that AWS gives each request.
fn beside_its_number(body: &[u8]) -> (&[u8], &[u8]) {
    let name = b"equestId>";
    let named = body.windows(name.len()).position(|at| at == name);
    let (before, rest) = body.split_at(named.map_or(body.len(), |at| at + name.len()));
    let number = rest.iter().take_while(|byte| **byte != b'<').count();
    (before, rest.split_at(number).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_request_is_left_out_of_account() {
        let (one, two) = (b"<A><requestId>1</requestId><b/></A>", b"<b/>");
        assert_eq!(
            beside_its_number(one),
            (&b"<A><requestId>"[..], &b"</requestId><b/></A>"[..])
        );
        assert_eq!(beside_its_number(two), (&two[..], &b""[..]));
    }
}
