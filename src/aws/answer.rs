//! Is what came back an answer to what was asked, and the whole of it?
//!
//! The SDK believes a status of 200. Of a call that answers with nothing it
//! does not read the body at all; of a list it takes what it finds, and what it
//! does not find for empty. A proxy's page, half a document or another call's
//! answer must be none of these: it is no answer, and whether the call was
//! carried out is not known.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::Limited;
use thiserror::Error;

use super::xml::{self, Malformed};

/// A page of a thousand snapshots with fifty tags each has some six million bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// Reads every answer once more, after the SDK.
#[derive(Debug)]
pub(super) struct Answers;

/// Why this is no answer.
#[derive(Debug, Error, PartialEq, Eq)]
enum NoAnswer {
    #[error("it has no body that can be read again")]
    Unread,
    #[error("it has more than {LARGEST} bytes")]
    TooLarge,
    #[error("it is no text: {0}")]
    NotText(#[from] std::str::Utf8Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("it is <{got}> where <{expected}> was to come")]
    Another { expected: String, got: String },
    #[error("it has no <{0}>")]
    Lacks(String),
    #[error("it says that nothing was done")]
    NotDone,
    #[error("it is empty")]
    Empty,
}

impl Intercept for Answers {
    fn name(&self) -> &'static str {
        "Answers"
    }

    /// An answer that never ends is cut off before it fills the memory.
    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        is_bounded(context.response())?;
        let body = context.response_mut().body_mut();
        if body.bytes().is_none() {
            let whole = std::mem::replace(body, SdkBody::taken());
            *body = SdkBody::from_body_1_x(Limited::new(whole, LARGEST));
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match config.load::<Metadata>() {
            Some(asked) => is_whole(asked, context.response()),
            None => Ok(()),
        }
    }
}

/// What is in memory already may not be larger than what would have been let in.
pub(super) fn is_bounded(response: &HttpResponse) -> Result<(), BoxError> {
    match response.body().bytes().map(<[u8]>::len) {
        Some(length) if length > LARGEST => Err(NoAnswer::TooLarge.into()),
        _ => Ok(()),
    }
}

pub(super) fn is_whole(asked: &Metadata, response: &HttpResponse) -> Result<(), BoxError> {
    // A refusal says by its code what it is.
    if !response.status().is_success() {
        return Ok(());
    }
    let body = response.body().bytes().ok_or(NoAnswer::Unread)?;
    Ok(check(asked.service(), asked.name(), body)?)
}

fn check(service: &str, action: &str, body: &[u8]) -> Result<(), NoAnswer> {
    match service {
        "EC2" => {
            let outline = of_action(action, body)?;
            let root = outline.root;
            if let Some(list) = list_of(action) {
                need(&outline, &format!("{root}/{list}"), list)?;
            }
            match outline.get(&format!("{root}/return")) {
                Some(done) if done.trim() != "true" => Err(NoAnswer::NotDone),
                _ => Ok(()),
            }
        }
        "Auto Scaling" => {
            let outline = of_action(action, body)?;
            match list_of(action) {
                Some(list) => need(
                    &outline,
                    &format!("{}/{action}Result/{list}", outline.root),
                    list,
                ),
                None => Ok(()),
            }
        }
        // An empty body would pass for an empty document. CBOR is read by the
        // SDK from its first byte to its last.
        "SQS" if body.trim_ascii().is_empty() => Err(NoAnswer::Empty),
        _ => Ok(()),
    }
}

fn of_action<'a>(action: &str, body: &'a [u8]) -> Result<xml::Outline<'a>, NoAnswer> {
    let outline = xml::outline(std::str::from_utf8(body)?)?;
    let expected = format!("{action}Response");
    if outline.root == expected {
        // Whatever AWS did, it says at least under which number.
        return if outline.is_hollow() {
            Err(NoAnswer::Empty)
        } else {
            Ok(outline)
        };
    }
    let got = outline.root.to_owned();
    Err(NoAnswer::Another { expected, got })
}

fn need(outline: &xml::Outline<'_>, path: &str, what: &str) -> Result<(), NoAnswer> {
    match outline.get(path) {
        Some(_) => Ok(()),
        None => Err(NoAnswer::Lacks(what.to_owned())),
    }
}

/// The list that an answer always has, be it empty: without it, nothing is
/// known, and nothing is not "none".
fn list_of(action: &str) -> Option<&'static str> {
    Some(match action {
        "DescribeVolumes" => "volumeSet",
        "DescribeSnapshots" | "CreateSnapshots" => "snapshotSet",
        "DescribeInstances" => "reservationSet",
        "DescribeAddresses" => "addressesSet",
        "DescribeAutoScalingGroups" => "AutoScalingGroups",
        "DescribeAutoScalingInstances" => "AutoScalingInstances",
        "DescribeLifecycleHooks" => "LifecycleHooks",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volumes(body: &str) -> Result<(), NoAnswer> {
        check("EC2", "DescribeVolumes", body.as_bytes())
    }

    #[test]
    fn an_empty_list_is_an_answer_and_no_list_is_none() {
        assert_eq!(
            volumes("<DescribeVolumesResponse><volumeSet/></DescribeVolumesResponse>"),
            Ok(())
        );
        assert_eq!(
            volumes("<DescribeVolumesResponse><requestId>r</requestId></DescribeVolumesResponse>"),
            Err(NoAnswer::Lacks("volumeSet".to_owned()))
        );
        assert!(
            volumes("<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>")
                .is_err()
        );
        assert!(volumes("").is_err() && volumes("<html><body>200 OK</body></html>").is_err());
        assert!(check("EC2", "DescribeVolumes", b"\xff\xfe").is_err());
    }

    #[test]
    fn a_write_is_done_when_its_own_answer_says_so() {
        let tags = |body: &str| check("EC2", "CreateTags", body.as_bytes());
        let said = |done: &str| format!("<CreateTagsResponse>{done}</CreateTagsResponse>");
        assert_eq!(tags(&said("<return>true</return>")), Ok(()));
        assert_eq!(tags(&said("<requestId>r</requestId>")), Ok(()));
        assert_eq!(tags(&said("")), Err(NoAnswer::Empty));
        assert_eq!(
            tags(&said("<return>false</return>")),
            Err(NoAnswer::NotDone)
        );
        assert!(tags("").is_err() && tags("<DeleteTagsResponse/>").is_err());
    }

    #[test]
    fn auto_scaling_wraps_its_lists_in_a_result() {
        let groups = |body: &str| {
            let body = format!(
                "<DescribeAutoScalingGroupsResponse>{body}</DescribeAutoScalingGroupsResponse>"
            );
            check("Auto Scaling", "DescribeAutoScalingGroups", body.as_bytes())
        };
        let result = "<DescribeAutoScalingGroupsResult><AutoScalingGroups/></DescribeAutoScalingGroupsResult>";
        assert_eq!(groups(result), Ok(()));
        assert!(groups("<DescribeAutoScalingGroupsResult/>").is_err());
        assert!(groups("<AutoScalingGroups/>").is_err());
        let completed = |body: &str| {
            let body = format!(
                "<CompleteLifecycleActionResponse>{body}</CompleteLifecycleActionResponse>"
            );
            check("Auto Scaling", "CompleteLifecycleAction", body.as_bytes())
        };
        assert_eq!(completed("<CompleteLifecycleActionResult/>"), Ok(()));
        assert_eq!(completed(""), Err(NoAnswer::Empty));
        assert!(check("Auto Scaling", "CompleteLifecycleAction", b"OK").is_err());
    }

    #[test]
    fn a_queue_that_says_nothing_was_not_heard() {
        assert_eq!(check("SQS", "SendMessage", b" \n"), Err(NoAnswer::Empty));
        assert_eq!(check("SQS", "ReceiveMessage", b"{}"), Ok(()));
    }
}
