//! Is it decided as IAM decides?

#![allow(clippy::unwrap_used)]

use super::ask::{Context, Question};
use super::decide::{Answer, decide};
use super::pattern::Pattern;
use super::*;

fn question(action: &str, resource: &str, keys: &[(&str, &[&str])]) -> Question {
    let mut context = Context::default();
    for (key, values) in keys {
        context.set(key, values.iter().map(|value| (*value).to_owned()));
    }
    Question {
        action: action.to_owned(),
        resource: resource.to_owned(),
        context,
        makes_volume: false,
    }
}

fn statement(effect: &str, action: &str, resource: &str, condition: &str) -> String {
    format!(
        r#"{{"Sid": "{effect}It", "Effect": "{effect}", "Action": "{action}",
            "Resource": "{resource}", "Condition": {condition}}}"#
    )
}

fn policy(statements: &[String]) -> Policy {
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
        statements.join(",")
    );
    Policy::parse(&text).unwrap()
}

#[test]
fn wildcards_fit_as_in_iam() {
    for (pattern, text, fits) in [
        ("*", "", true),
        ("ec2:*volume", "ec2:attachvolume", true),
        ("ec2:*volume", "ec2:attachvolumes", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        (
            "arn:aws:ec2:*:*:volume/*",
            "arn:aws:ec2:us-east-1:1:volume/vol-1",
            true,
        ),
        ("arn:aws:ec2:*:*:volume/*", "*", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("", "", true),
        ("", "x", false),
    ] {
        assert_eq!(Pattern::wild(pattern).fits(text), fits, "{pattern} {text}");
    }
}

#[test]
fn a_policy_can_mean_the_very_character() {
    let pattern = Pattern::of_policy("a${*}b${?}${$}*", true).unwrap();
    assert!(pattern.fits("a*b?$ and more") && !pattern.fits("axb?$"));
    assert!(Pattern::of_policy("a*", false).unwrap().fits("a*"));
    assert_eq!(Pattern::of_policy("${aws:username}", true), None);
}

#[test]
fn an_allow_is_needed_and_a_deny_wins() {
    let allow = statement("Allow", "ec2:Attach*", "arn:*:volume/*", "{}");
    let deny = statement("Deny", "ec2:attachvolume", "*/vol-2", "{}");
    let both = policy(&[allow, deny]);
    let ask = |action: &str, volume: &str| {
        let resource = format!("arn:aws:ec2:r:1:volume/{volume}");
        decide(&[&both], &question(action, &resource, &[]))
    };
    assert_eq!(ask("ec2:AttachVolume", "vol-1"), Answer::Allowed("AllowIt"));
    let explicit = Answer::Denied { explicit: true };
    assert_eq!(ask("ec2:AttachVolume", "vol-2"), explicit);
    let implicit = Answer::Denied { explicit: false };
    assert_eq!(ask("ec2:DetachVolume", "vol-1"), implicit);
}

/// Operator, policy values, what the call has, and whether that is enough.
#[test]
fn operators_decide_as_iam_documents_them() {
    type Case = (
        &'static str,
        &'static str,
        Option<&'static [&'static str]>,
        bool,
    );
    let cases: [Case; 20] = [
        ("StringEquals", r#""a""#, Some(&["a"]), true),
        ("StringEquals", r#"["a", "b"]"#, Some(&["b"]), true),
        ("StringEquals", r#""a""#, Some(&["A"]), false),
        ("StringEquals", r#""a*""#, Some(&["ab"]), false),
        ("StringEquals", r#""a""#, None, false),
        ("StringEqualsIfExists", r#""a""#, None, true),
        ("StringEqualsIfExists", r#""a""#, Some(&["b"]), false),
        ("StringNotEquals", r#""a""#, Some(&["b"]), true),
        ("StringNotEquals", r#""a""#, None, true),
        ("StringLike", r#""a*""#, Some(&["ab"]), true),
        ("StringNotLike", r#""a*""#, Some(&["ab"]), false),
        (
            "ForAllValues:StringLike",
            r#""a*""#,
            Some(&["ab", "ac"]),
            true,
        ),
        (
            "ForAllValues:StringLike",
            r#""a*""#,
            Some(&["ab", "x"]),
            false,
        ),
        ("ForAllValues:StringLike", r#""a*""#, None, true),
        (
            "ForAnyValue:StringEquals",
            r#""a""#,
            Some(&["x", "a"]),
            true,
        ),
        ("ForAnyValue:StringEquals", r#""a""#, None, false),
        ("Bool", r#""true""#, Some(&["true"]), true),
        ("Bool", "true", Some(&["false"]), false),
        ("Null", r#""true""#, None, true),
        ("Null", r#""true""#, Some(&["a"]), false),
    ];
    for (operator, wanted, found, allowed) in cases {
        let condition = format!(r#"{{"{operator}": {{"aws:ResourceTag/Team": {wanted}}}}}"#);
        let policy = policy(&[statement("Allow", "*", "*", &condition)]);
        // The names of keys are compared whatever their case.
        let keys: Vec<_> = found
            .map(|values| ("aws:resourcetag/team", values))
            .into_iter()
            .collect();
        let answer = decide(&[&policy], &question("ec2:Any", "arn", &keys));
        let is = answer == Answer::Allowed("AllowIt");
        assert_eq!(is, allowed, "{operator} {wanted} {found:?}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let condition = r#"{"StringEquals": {"a": "1", "b": "2"}}"#;
    let policy = policy(&[statement("Allow", "*", "*", condition)]);
    let ask = |keys: &[(&str, &[&str])]| decide(&[&policy], &question("x:Y", "arn", keys));
    assert_eq!(
        ask(&[("a", &["1"]), ("b", &["2"])]),
        Answer::Allowed("AllowIt")
    );
    assert_eq!(ask(&[("a", &["1"])]), Answer::Denied { explicit: false });
}

#[test]
fn what_is_not_understood_is_refused() {
    let whole = |statement: &str| format!(r#"{{"Statement": {statement}}}"#);
    for (text, says) in [
        ("[".to_owned(), "policy"),
        ("{}".to_owned(), "there is none"),
        (
            whole(r#"{"Effect": "Perhaps", "Action": "*", "Resource": "*"}"#),
            "Effect",
        ),
        (whole(r#"{"Effect": "Allow", "Resource": "*"}"#), "Action"),
        (
            whole(r#"{"Effect": "Allow", "Action": [], "Resource": "*"}"#),
            "Action",
        ),
        (
            whole(r#"{"Effect": "Allow", "NotAction": "a", "Resource": "*"}"#),
            "NotAction",
        ),
        (
            whole(
                r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"a": "b"}}}"#,
            ),
            "IpAddress",
        ),
        (
            whole(r#"{"Effect": "Allow", "Action": "*", "Resource": "arn:${aws:username}"}"#),
            "variable",
        ),
    ] {
        let error = Policy::parse(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
