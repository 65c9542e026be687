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

use aws_config::identity::IdentityCache;
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
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rehome_region::{Fate, Fault, Region, Request, Response};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::blows::{Blow, Blows, Fall, Nap, When};
use super::time::VirtualTime;
use crate::aws::Aws;

/// How long a client waits for an answer when nobody told it otherwise.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long AWS accepts a signed request.
const SIGNED_FOR: SignedDuration = SignedDuration::from_mins(5);
/// No longer than this is a call on its way as a rule.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(20);
/// A call that waits for others goes on after this: its sender gives up on it
/// at about this time, most of them a little later.
const HELD_AT_MOST: Duration = Duration::from_secs(9);

/// The one region of a drill, shared by everyone in it.
#[derive(Clone)]
pub struct Shared {
    region: Arc<Mutex<Region>>,
    /// Rung after every change, so that whoever plays AWS looks what is due now.
    changed: Arc<Notify>,
    blows: Arc<Mutex<Blows>>,
    fell: Arc<Notify>,
    /// Rung whenever AWS has heard a runner's call.
    heard: Arc<Notify>,
    /// Who is frozen, until when.
    frozen: Arc<Mutex<BTreeMap<String, Instant>>>,
    pub time: VirtualTime,
    way: Way,
}

/// How runners look at the region. What they see and do is the same either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Through the whole of the SDK.
    #[default]
    Sdk,
    /// By its serializers and parsers alone, for drills by the thousand.
    Express,
}

impl Shared {
    pub fn new(region: Region, time: VirtualTime) -> Self {
        Self {
            region: Arc::new(Mutex::new(region)),
            changed: Arc::new(Notify::new()),
            blows: Arc::default(),
            fell: Arc::new(Notify::new()),
            heard: Arc::new(Notify::new()),
            frozen: Arc::default(),
            time,
            way: Way::default(),
        }
    }

    #[must_use]
    pub fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// Until when this runner is frozen, if it is.
    pub fn frozen_until(&self, who: &str) -> Option<Instant> {
        self.frozen().get(who).copied()
    }

    pub fn thaw(&self, who: &str) {
        self.frozen().remove(who);
    }

    fn frozen(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With these blows planned.
    #[must_use]
    pub fn struck(self, planned: &[Blow]) -> Self {
        *self.blows() = Blows::new(planned);
        self
    }

    pub fn blows(&self) -> MutexGuard<'_, Blows> {
        self.blows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who was hit, as soon as somebody is.
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

    /// AWS, as `caller` sees it.
    pub fn aws(&self, caller: &str) -> Aws {
        let aws = Aws::from_config(&self.sdk_config(caller));
        match self.way {
            Way::Sdk => aws,
            Way::Express => aws.by_express(caller, self.line(caller), self.time),
        }
    }

    fn line(&self, caller: &str) -> Line {
        Line {
            shared: self.clone(),
            caller: caller.to_owned(),
            read_timeout: READ_TIMEOUT,
        }
    }

    /// What AWS's clients need to speak to the region as `caller`.
    pub fn sdk_config(&self, caller: &str) -> SdkConfig {
        // Everyone signs with their own name: so the region knows whose role it is.
        let credentials = Credentials::new(caller, "drill", None, None, "drill");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(RegionName::new(self.lock().settings().name.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // They never expire, and a cache draws when it renews them.
            .identity_cache(IdentityCache::no_cache())
            .time_source(self.time)
            .sleep_impl(TokioSleep::new())
            .http_client(self.line(caller))
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
            None if self.shared.blows().outlive_senders() => self.on_the_wire(request, None).await,
            None => self.travel(request).await,
            Some(When::Before) => self.fall().await,
            Some(When::After) => {
                // What comes back, comes back to nobody.
                let _ = self.travel(request).await;
                self.fall().await
            }
            Some(when) => {
                self.shared.fell.notify_one();
                self.freeze(when);
                self.on_the_wire(request, Some(when)).await
            }
        }
    }

    /// The process is gone: whatever it was about to do, it does not.
    async fn fall(&self) -> Result<HttpResponse, ConnectorError> {
        self.shared.fell.notify_one();
        std::future::pending().await
    }

    fn freeze(&self, when: When) {
        if let Some(time) = when.frozen_for() {
            let from = self.shared.time.now();
            self.shared.blows().naps.push(Nap {
                who: self.caller.clone(),
                from,
                until: from.checked_add(time).unwrap_or(Timestamp::MAX),
            });
            let until = self.shared.time.in_a_while(time);
            self.shared.frozen().insert(self.caller.clone(), until);
        }
    }

    /// What is sent arrives, whatever becomes of its sender.
    async fn on_the_wire(
        &self,
        request: Request,
        when: Option<When>,
    ) -> Result<HttpResponse, ConnectorError> {
        let line = self.clone();
        let way = tokio::spawn(async move {
            match when {
                Some(When::Held(calls)) => line.hold(u64::from(calls)).await,
                Some(When::FrozenBefore(seconds)) => {
                    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
                }
                _ => {}
            }
            line.travel(request).await
        });
        way.await
            .unwrap_or_else(|error| Err(ConnectorError::other(error.into(), None)))
    }

    /// Until the others have made so many calls; they may have none to make.
    async fn hold(&self, calls: u64) {
        let before = self.shared.blows().heard_of_others(&self.caller);
        let passed = || self.shared.blows().heard_of_others(&self.caller) - before;
        let late = tokio::time::sleep(HELD_AT_MOST);
        tokio::pin!(late);
        loop {
            let heard = self.shared.heard.notified();
            if passed() >= calls {
                break;
            }
            tokio::select! {
                biased;
                () = heard => {}
                () = &mut late => break,
            }
        }
        let passed = passed();
        self.shared.blows().passed.push(passed);
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
            Fate::Garbled { handled } => {
                let answer = handled.then(|| self.deliver(&request));
                tokio::time::sleep(trip.inbound).await;
                let garbage = self.shared.lock().garble(&request, answer);
                respond(garbage)
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

    /// AWS carries out nothing that was signed long ago.
    fn expired(&self, request: &Request, now: Timestamp) -> Option<Response> {
        let age = now.duration_since(signed_at(request)?);
        if age > ON_ITS_WAY && age <= SIGNED_FOR {
            self.shared.blows().late.push((self.caller.clone(), now));
        }
        (age > SIGNED_FOR).then(|| {
            let fault = Fault {
                status: 400,
                code: "RequestExpired".to_owned(),
                message: format!("Request has expired: it was signed {age:#} ago."),
            };
            self.shared.lock().refusal(request, &fault)
        })
    }

    fn deliver(&self, request: &Request) -> Response {
        let now = self.shared.time.now();
        if let Some(refusal) = self.expired(request, now) {
            return refusal;
        }
        let response = self.shared.lock().handle(&self.caller, request, now);
        tracing::trace!(
            %now, who = %self.caller, status = response.status,
            body = %String::from_utf8_lossy(&request.body), "a call"
        );
        if is_runner(&self.caller) {
            self.shared.blows().hear(&self.caller);
            self.shared.heard.notify_waiters();
        }
        self.shared.ring();
        response
    }
}

/// When the request was signed, if that can be read.
fn signed_at(request: &Request) -> Option<Timestamp> {
    let date = request.headers.get("x-amz-date")?;
    let date = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// People who run a command are not struck down.
fn is_runner(caller: &str) -> bool {
    caller.starts_with("i-") || caller.starts_with(super::CONTROLLER)
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
