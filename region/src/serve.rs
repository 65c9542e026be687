//! The region on a port, for anyone's client.
//!
//! Whoever signs a request is its caller, by the access key id. The metadata
//! service has no signature: `/imds/<instance-id>/latest/…` names the instance,
//! as does the header `x-instance-id`; a bare `/latest/…` means the instance whose
//! private address the question comes from, or else the only running one.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::model::InstanceState;
use crate::wire::access_key;
use crate::{Fate, Region, Request, Response, between};

const BODY_BYTES_MAX: usize = 1024 * 1024;
const CONNECTIONS_MAX: usize = 256;
/// How long a client may take to send a request's head, or stay idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// An answer that never comes: the connection is dropped after this.
const SILENCE: Duration = Duration::from_secs(900);
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a queue is looked into for whoever waits for a message.
const MAIL_PAUSE: Duration = Duration::from_millis(20);
/// The region is looked after at least this often.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Whoever plays the machines of a served region for real. Called with the
/// region locked: nothing else happens between a change and its witness.
pub trait Witness: Send + Sync {
    /// Before a call is handled: the region learns what guests did by themselves.
    fn before(&self, region: &mut Region, now: Timestamp);

    /// After anything may have changed, and before the caller has its answer.
    fn after(&self, region: &mut Region, call: Option<(&str, &Request)>, now: Timestamp);
}

/// Nobody plays the machines.
struct Nobody;

impl Witness for Nobody {
    fn before(&self, _: &mut Region, _: Timestamp) {}

    fn after(&self, _: &mut Region, _: Option<(&str, &Request)>, _: Timestamp) {}
}

/// Serves the region for ever: latencies are slept, lost answers are dropped
/// connections, and what is due happens at its time.
pub async fn serve<C>(region: Arc<Mutex<Region>>, listener: TcpListener, clock: C) -> io::Result<()>
where
    C: Fn() -> Timestamp + Clone + Send + Sync + 'static,
{
    serve_witnessed(region, listener, clock, Arc::new(Nobody)).await
}

/// The same, with somebody who carries every change out in the real world.
pub async fn serve_witnessed<C>(
    region: Arc<Mutex<Region>>,
    listener: TcpListener,
    clock: C,
    witness: Arc<dyn Witness>,
) -> io::Result<()>
where
    C: Fn() -> Timestamp + Clone + Send + Sync + 'static,
{
    let door = Door {
        region,
        clock,
        changed: Arc::new(Notify::new()),
        witness,
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            () = door.keep_time() => {}
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, Arc::clone(&places)) => match accepted {
                Some((stream, place)) => {
                    connections.spawn(door.clone().serve_connection(stream, place));
                }
                None => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(why) => {
            tracing::warn!(%why, "a connection could not be accepted");
            None
        }
    }
}

#[derive(Clone)]
struct Door<C> {
    region: Arc<Mutex<Region>>,
    clock: C,
    /// Something was planned: what is due next may have changed.
    changed: Arc<Notify>,
    witness: Arc<dyn Witness>,
}

/// The answer is lost: hyper closes the connection without one.
#[derive(Debug, thiserror::Error)]
#[error("the answer was lost on its way")]
struct Lost;

impl<C> Door<C>
where
    C: Fn() -> Timestamp + Clone + Send + Sync + 'static,
{
    fn region(&self) -> MutexGuard<'_, Region> {
        // A state machine that never panics cannot poison its lock.
        self.region.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is due, and lets it happen.
    async fn keep_time(&self) {
        let now = (self.clock)();
        let due = {
            let mut region = self.region();
            region.advance(now);
            self.witness.after(&mut region, None, now);
            region.next_due()
        };
        let wait = due.map_or(IDLE_MAX, |at| between(now, at).min(IDLE_MAX));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.changed.notified() => {}
        }
    }

    async fn serve_connection(self, stream: TcpStream, place: OwnedSemaphorePermit) {
        let from = stream.peer_addr().ok().map(|peer| peer.ip());
        let service = service_fn(|request| self.answer(request, from));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(why) = served {
            tracing::debug!(%why, "a connection ended early");
        }
        drop(place);
    }

    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        from: Option<IpAddr>,
    ) -> Result<hyper::Response<Full<Bytes>>, Lost> {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes().to_vec(),
            Err(why) if why.is::<LengthLimitError>() => {
                return Ok(plain(Response::new(
                    413,
                    "text/plain",
                    "413 - the request is too large\n",
                )));
            }
            Err(_) => return Err(Lost),
        };
        let (caller, request) = self.read(&head, body, from);
        let trip = self.region().trip(&caller, &request, (self.clock)());
        tokio::time::sleep(trip.outbound).await;
        let response = match &trip.fate {
            Fate::LostBefore => return Err(Lost),
            Fate::Refused(fault) => self.region().refusal(&request, fault),
            Fate::Garbled { handled } => {
                let answer = handled.then(|| self.handle(&caller, &request));
                self.region().garble(&request, answer)
            }
            Fate::Delivered | Fate::LostAfter | Fate::TimedOutAfter => {
                self.wait_for_mail(&request).await;
                self.handle(&caller, &request)
            }
        };
        self.changed.notify_one();
        match trip.fate {
            Fate::LostAfter => return Err(Lost),
            Fate::TimedOutAfter => {
                tokio::time::sleep(SILENCE).await;
                return Err(Lost);
            }
            _ => tokio::time::sleep(trip.inbound).await,
        }
        Ok(plain(response))
    }

    /// A receive that is willing to wait is answered when there is something
    /// to hand over, or when its time is over.
    async fn wait_for_mail(&self, request: &Request) {
        let patience = || self.region().patience(request, (self.clock)());
        let Some(longest) = patience() else { return };
        let mail = async {
            while patience().is_some() {
                tokio::time::sleep(MAIL_PAUSE).await;
            }
        };
        // Too late is as good as nothing.
        let _ = tokio::time::timeout(longest, mail).await;
    }

    fn handle(&self, caller: &str, request: &Request) -> Response {
        let now = (self.clock)();
        let mut region = self.region();
        self.witness.before(&mut region, now);
        let response = region.handle(caller, request, now);
        self.witness
            .after(&mut region, Some((caller, request)), now);
        response
    }

    /// Who calls, and what the region shall see of it.
    fn read(
        &self,
        head: &hyper::http::request::Parts,
        body: Vec<u8>,
        from: Option<IpAddr>,
    ) -> (String, Request) {
        let mut headers = BTreeMap::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.insert(name.as_str().to_owned(), value);
        }
        let mut request = Request {
            method: head.method.as_str().to_owned(),
            host: headers.get("host").cloned().unwrap_or_default(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers,
            body,
        };
        if let Some((instance, path)) = metadata_prefix(&request.path) {
            request.path = path;
            return (instance, request);
        }
        let caller = if request.path.starts_with("/latest/") {
            let named = request.headers.get("x-instance-id").cloned();
            named
                .or_else(|| self.instance_at(from?))
                .or_else(|| self.only_instance())
                .unwrap_or_default()
        } else {
            access_key(&request).unwrap_or_else(|| "anonymous".to_owned())
        };
        (caller, request)
    }

    fn instance_at(&self, address: IpAddr) -> Option<String> {
        let (region, address) = (self.region(), address.to_string());
        let mut machines = region.model.instances.values();
        let there = machines.find(|machine| {
            machine.state != InstanceState::Terminated && machine.private_ips.contains(&address)
        });
        there.map(|machine| machine.id.clone())
    }

    fn only_instance(&self) -> Option<String> {
        let region = self.region();
        let mut running = region
            .model
            .instances
            .values()
            .filter(|machine| machine.state == InstanceState::Running);
        let first = running.next()?.id.clone();
        running.next().is_none().then_some(first)
    }
}

/// `/imds/i-0abc/latest/…` → the instance and the rest.
fn metadata_prefix(path: &str) -> Option<(String, String)> {
    let (instance, rest) = path.strip_prefix("/imds/")?.split_once('/')?;
    rest.starts_with("latest/")
        .then(|| (instance.to_owned(), format!("/{rest}")))
}

fn plain(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut answer = hyper::Response::new(Full::new(Bytes::from(response.body)));
    if let Ok(status) = hyper::StatusCode::from_u16(response.status) {
        *answer.status_mut() = status;
    }
    for (name, value) in &response.headers {
        let header = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        );
        if let (Ok(name), Ok(value)) = header {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_names_the_caller() {
        let header = "AWS4-HMAC-SHA256 Credential=i-0abc/20261120/us-east-1/ec2/aws4_request, SignedHeaders=host";
        let headers = [("authorization".to_owned(), header.to_owned())].into();
        let request = Request {
            headers,
            ..Request::default()
        };
        assert_eq!(access_key(&request).as_deref(), Some("i-0abc"));
        assert_eq!(access_key(&Request::default()), None);
    }

    #[test]
    fn the_path_names_the_instance() {
        let found = metadata_prefix("/imds/i-0abc/latest/api/token");
        assert_eq!(
            found,
            Some(("i-0abc".to_owned(), "/latest/api/token".to_owned()))
        );
        assert_eq!(metadata_prefix("/imds/i-0abc"), None);
        assert_eq!(metadata_prefix("/latest/api/token"), None);
    }
}
