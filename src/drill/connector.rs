//! How does a real SDK client reach the emulated region? As its HTTP client.
//!
//! The serializers, the signer, the time-outs and the error parsers are the
//! SDK's own; only the socket is missing. Each call is on its way for as long
//! as the region says, in virtual time, and what can happen to a request on a
//! real network happens here: lost before, lost after, no answer, refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region as RegionName, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use rehome_region::{Fate, Region, Request, Response};
use tokio::sync::Notify;

use super::blows::{Blow, Blows, Fall, When};
use super::time::VirtualTime;

/// How long a client waits for an answer when nobody told it otherwise.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The one region of a drill, shared by everyone in it.
#[derive(Clone)]
pub struct Shared {
    region: Arc<Mutex<Region>>,
    /// Rung after every change, so that whoever plays AWS looks what is due now.
    changed: Arc<Notify>,
    blows: Arc<Mutex<Blows>>,
    fell: Arc<Notify>,
    pub time: VirtualTime,
}

impl Shared {
    pub fn new(region: Region, time: VirtualTime) -> Self {
        Self {
            region: Arc::new(Mutex::new(region)),
            changed: Arc::new(Notify::new()),
            blows: Arc::default(),
            fell: Arc::new(Notify::new()),
            time,
        }
    }

    /// With these runners' ends planned.
    #[must_use]
    pub fn struck(self, planned: &[Blow]) -> Self {
        *self.blows() = Blows::new(planned);
        self
    }

    pub fn blows(&self) -> MutexGuard<'_, Blows> {
        self.blows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who fell, as soon as somebody has.
    pub async fn fallen(&self) -> Vec<Fall> {
        loop {
            let fallen = self.blows().take_fallen();
            if !fallen.is_empty() {
                return fallen;
            }
            self.fell.notified().await;
        }
    }

    /// The region, for as long as no one else needs it: never across an await.
    pub fn lock(&self) -> MutexGuard<'_, Region> {
        self.region.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ring(&self) {
        self.changed.notify_one();
    }

    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What AWS's clients need to speak to the region as `caller`.
    pub fn sdk_config(&self, caller: &str) -> SdkConfig {
        let credentials = Credentials::new("AKIADRILLDRILLDRILL0", "drill", None, None, "drill");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(RegionName::new(self.lock().settings().name.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .time_source(self.time)
            .sleep_impl(TokioSleep::new())
            .http_client(Line {
                shared: self.clone(),
                caller: caller.to_owned(),
                read_timeout: READ_TIMEOUT,
            })
            .build()
    }
}

/// One caller's line to the region.
#[derive(Clone)]
struct Line {
    shared: Shared,
    caller: String,
    read_timeout: Duration,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.caller)
    }
}

impl HttpClient for Line {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let mut line = self.clone();
        line.read_timeout = settings.read_timeout().unwrap_or(READ_TIMEOUT);
        SharedHttpConnector::new(line)
    }
}

impl HttpConnector for Line {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let line = self.clone();
        HttpConnectorFuture::new(async move {
            let request = translate(&request)?;
            line.carry(request).await
        })
    }
}

impl Line {
    async fn carry(&self, request: Request) -> Result<HttpResponse, ConnectorError> {
        let blow = if is_runner(&self.caller) {
            let action = rehome_region::action(&request);
            self.shared.blows().at(&self.caller, &action)
        } else {
            None
        };
        match blow {
            None => self.travel(request).await,
            Some(When::Before) => self.fall().await,
            Some(When::After) => {
                // What comes back, comes back to nobody.
                let _ = self.travel(request).await;
                self.fall().await
            }
        }
    }

    /// The process is gone: whatever it was about to do, it does not.
    async fn fall(&self) -> Result<HttpResponse, ConnectorError> {
        self.shared.fell.notify_one();
        std::future::pending().await
    }

    async fn travel(&self, request: Request) -> Result<HttpResponse, ConnectorError> {
        let time = self.shared.time;
        let trip = self.shared.lock().trip(&self.caller, &request, time.now());
        tokio::time::sleep(trip.outbound).await;
        match trip.fate {
            Fate::LostBefore => {
                tokio::time::sleep(trip.inbound).await;
                Err(reset("the connection was reset before the request arrived"))
            }
            Fate::Refused(fault) => {
                tokio::time::sleep(trip.inbound).await;
                let refusal = self.shared.lock().refusal(&request, &fault);
                respond(refusal)
            }
            Fate::Delivered => {
                let response = self.deliver(&request);
                tokio::time::sleep(trip.inbound).await;
                respond(response)
            }
            Fate::LostAfter => {
                self.deliver(&request);
                tokio::time::sleep(trip.inbound).await;
                Err(reset("the connection was reset before the answer arrived"))
            }
            Fate::TimedOutAfter => {
                self.deliver(&request);
                tokio::time::sleep(self.read_timeout).await;
                Err(ConnectorError::timeout("no answer came in time".into()))
            }
        }
    }

    fn deliver(&self, request: &Request) -> Response {
        let response = self
            .shared
            .lock()
            .handle(&self.caller, request, self.shared.time.now());
        self.shared.ring();
        response
    }
}

/// People who run a command are not struck down.
fn is_runner(caller: &str) -> bool {
    caller.starts_with("i-") || caller == super::CONTROLLER
}

fn reset(what: &'static str) -> ConnectorError {
    ConnectorError::io(what.into())
}

fn translate(request: &HttpRequest) -> Result<Request, ConnectorError> {
    let (host, path, query) = split(request.uri());
    let body = request.body().bytes().ok_or_else(|| {
        ConnectorError::user("a streamed body cannot be sent to the emulated region".into())
    })?;
    let mut headers = BTreeMap::new();
    for (name, value) in request.headers() {
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    Ok(Request {
        method: request.method().to_owned(),
        host,
        path,
        query,
        headers,
        body: body.to_vec(),
    })
}

/// Host, path and query of an absolute URI.
fn split(uri: &str) -> (String, String, String) {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (host.to_owned(), format!("/{path}"), query.to_owned())
}

fn respond(response: Response) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(response.status)
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut answer = HttpResponse::new(status, SdkBody::from(response.body));
    for (name, value) in response.headers {
        answer
            .headers_mut()
            .try_insert(name, value)
            .map_err(|error| ConnectorError::other(error.into(), None))?;
    }
    Ok(answer)
}
