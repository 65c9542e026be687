//! What can become of an answer on its way? A proxy's page, half a document,
//! another call's answer: a status of 200 that says nothing of what was asked.

use crate::{Region, Request, Response, wire};

/// Ways to spoil an answer.
#[derive(Clone, Copy, Debug)]
enum Garbage {
    /// 200, and nothing.
    Empty,
    /// 204: there is nothing to say.
    NoContent,
    /// 200, and a page that asks to sign in.
    Portal,
    /// A proxy's own error, in its own words.
    Proxy(u16),
    /// The beginning of the answer.
    Half,
    /// The answer's outside, and nothing in it.
    Hollow,
    /// A whole answer to a call that nobody made.
    Foreign,
    /// What another call was answered.
    Other,
    /// Bytes.
    Noise,
    /// Another protocol's way to say nothing.
    Nothing,
}

const ALL: [Garbage; 12] = [
    Garbage::Empty,
    Garbage::NoContent,
    Garbage::Portal,
    Garbage::Proxy(502),
    Garbage::Proxy(403),
    Garbage::Proxy(302),
    Garbage::Half,
    Garbage::Hollow,
    Garbage::Foreign,
    Garbage::Other,
    Garbage::Noise,
    Garbage::Nothing,
];

/// How much noise there is at most.
const NOISE_MAX: usize = 4096;

impl Region {
    /// What arrives in place of this answer; `None` for a call that was not
    /// carried out.
    pub fn garble(&mut self, request: &Request, answer: Option<Response>) -> Response {
        let action = wire::action(request);
        let rng = self.dice.stream("garbage");
        let garbage = rng.choice(ALL).unwrap_or(Garbage::Empty);
        let cut = rng.f64();
        let noise: Vec<u8> = (0..rng.usize(1..NOISE_MAX)).map(|_| rng.u8(..)).collect();
        let other = match &self.overheard {
            Some((of, response)) if *of != action => Some(response.clone()),
            _ => None,
        };
        if let Some(answer) = &answer {
            self.overheard = Some((action.clone(), answer.clone()));
        }
        let xml = |body: String| Response::new(200, "text/xml;charset=UTF-8", body);
        match garbage {
            Garbage::Empty => xml(String::new()),
            Garbage::NoContent => Response::new(204, "text/plain", ""),
            Garbage::Portal => Response::new(200, "text/html", PORTAL),
            Garbage::Proxy(status) => Response::new(status, "text/html", PROXY),
            Garbage::Half => half(answer, cut),
            Garbage::Hollow => xml(format!("<{action}Response></{action}Response>")),
            Garbage::Foreign => xml(FOREIGN.to_owned()),
            Garbage::Other => other.unwrap_or_else(|| xml(FOREIGN.to_owned())),
            Garbage::Noise => Response::new(200, "application/octet-stream", noise),
            Garbage::Nothing => Response::new(200, "application/json", "null"),
        }
    }
}

const PORTAL: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\
    <body><p>Please sign in to use this network.<br></body></html>\n";
const PROXY: &str = "<html><head><title>Error</title></head><body>\
    <center><h1>Error</h1></center><hr></body></html>\n";
const FOREIGN: &str = "<DescribeRegionsResponse><requestId>none</requestId>\
    <regionInfo/></DescribeRegionsResponse>";

fn half(answer: Option<Response>, cut: f64) -> Response {
    let Some(mut answer) = answer else {
        return Response::new(200, "text/xml;charset=UTF-8", "<?xml version=\"1.0\"?>");
    };
    // A whole document stays one without the line break at its end.
    let last = answer.body.trim_ascii_end().len().saturating_sub(1);
    let kept = (last as f64 * cut) as usize;
    answer.body.truncate(kept);
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;

    use super::*;
    use crate::Settings;

    #[test]
    fn no_garbage_is_the_answer() {
        let mut region = Region::new(Settings::default(), Timestamp::UNIX_EPOCH);
        let request = Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            body: b"Action=DescribeVolumes&Version=2016-11-15".to_vec(),
            ..Request::default()
        };
        let answer = region.handle("a test", &request, Timestamp::UNIX_EPOCH);
        assert_eq!(answer.status, 200);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let garbage = region.garble(&request, Some(answer.clone()));
            assert_ne!(garbage.body, answer.body);
            seen.insert((garbage.status, garbage.body.len()));
        }
        assert!(seen.len() > 50, "{}", seen.len());
    }
}
