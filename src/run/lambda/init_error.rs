//! How does Lambda learn why the function could not start? It is told over the
//! runtime API, which the runtime crate lets nobody do but itself.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::Failure;

/// It is on this very machine. What it does not hear stands in the log.
const PATIENCE: Duration = Duration::from_secs(2);

/// Says it, if anyone listens.
pub(super) async fn report(api: &str, failure: &Failure) {
    let Some(place) = place(api) else { return };
    let told = tokio::time::timeout(PATIENCE, tell(&place, &failure.to_string())).await;
    if let Ok(Err(error)) = told {
        tracing::warn!(%error, "the Lambda runtime API did not hear why this cannot start");
    }
}

/// Where requests go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    authority: &'a str,
    path: &'a str,
}

/// `127.0.0.1:9001`; test tools write a URL.
pub(super) fn place(api: &str) -> Option<Place<'_>> {
    let rest = api.strip_prefix("http://").unwrap_or(api);
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (host, port) = authority.rsplit_once(':')?;
    let plain = |c: char| c.is_ascii_graphic() && c != '@';
    let fits = !host.is_empty() && rest.chars().all(plain) && port.parse::<u16>().is_ok();
    let path = path.trim_end_matches('/');
    fits.then_some(Place { authority, path })
}

async fn tell(place: &Place<'_>, why: &str) -> std::io::Result<()> {
    let body = json!({
        "errorType": "rehome.Init",
        "errorMessage": why,
        "stackTrace": [],
    })
    .to_string();
    let head = format!(
        "POST {}/2018-06-01/runtime/init/error HTTP/1.1\r\nHost: {}\r\n\
         Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: rehome.Init\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        place.path,
        place.authority,
        body.len()
    );
    let mut stream = TcpStream::connect(place.authority).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    // It was heard when it is answered, whatever the answer is.
    stream.read_exact(&mut [0; 12]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_url_are_places() {
        let authority = "127.0.0.1:9001";
        let at = |path| Some(Place { authority, path });
        assert_eq!(place("127.0.0.1:9001"), at(""));
        assert_eq!(place("http://127.0.0.1:9001/"), at(""));
        assert_eq!(place("http://127.0.0.1:9001/a/b"), at("/a/b"));
        assert!(place("http://[::1]:9001/a").is_some());
    }

    #[test]
    fn anything_else_is_none() {
        for odd in [
            "",
            "localhost",
            ":9001",
            "a:b",
            "a:99999",
            "a b:1",
            "a:1/\r\nX: y",
        ] {
            assert_eq!(place(odd), None, "{odd}");
        }
    }
}
