//! Is a policy as small as its configuration, and bound to the group's own?

#![allow(clippy::unwrap_used)]

use super::*;
use crate::spec;

const ORDERS: &str = r#"
[[group]]
name = "orders-db"
[[group.address]]
allocation_id = "eipalloc-0abc"
[[group.volume]]
name = "data"
device = "/dev/sdf"
"#;

fn here() -> Scope {
    Scope::new(None, Some("us-east-1"), Some("123456789012"))
}

fn made(toml: &str, place: Place) -> Policy {
    policy(&spec::parse("test", toml).unwrap(), place, &here()).unwrap()
}

fn actions(policy: &Policy) -> Vec<&str> {
    let statements = policy.statement.iter();
    let mut all: Vec<&str> = statements.flat_map(|of| of.action.iter()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn sids(policy: &Policy) -> Vec<&str> {
    policy.statement.iter().map(|of| of.sid.as_str()).collect()
}

#[test]
fn the_usual_group_needs_eleven_statements() {
    let policy = made(ORDERS, Place::Instance);
    assert_eq!(
        sids(&policy),
        [
            "LookAround",
            "MakeOwnVolumes",
            "TakeOwnSnapshots",
            "TagWhatIsMade",
            "UseOwnVolumesAndSnapshots",
            "NoteOnOwnVolumes",
            "LabelOwnSnapshots",
            "WorkOnMembers",
            "MoveOwnAddresses",
            "AnswerHooks",
            "NoteOnGroups",
        ]
    );
    assert!(
        policy.characters() < MANAGED_MOST,
        "{}",
        policy.characters()
    );
    assert_eq!(policy, made(ORDERS, Place::Controller));
}

#[test]
fn what_a_configuration_lacks_is_not_allowed() {
    let without =
        "[[group]]\nname = \"gateway\"\n[[group.address]]\nallocation_id = \"eipalloc-1\"\n";
    assert_eq!(
        actions(&made(without, Place::Instance)),
        [
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeLifecycleHooks",
            "autoscaling:RecordLifecycleActionHeartbeat",
            "ec2:AssociateAddress",
            "ec2:DescribeAddresses",
            "ec2:DescribeInstances",
        ]
    );
}

/// A line of configuration more, and what it makes necessary.
#[test]
fn each_wish_brings_its_own_permissions() {
    let second = "[[group.volume]]\nname = \"log\"\ndevice = \"/dev/sdg\"\n";
    let alarm = "[[group.alarm]]\nname = \"sick\"\n";
    let key = "kms_key_id = \"alias/data\"\n";
    let queue = "[wake]\nsqs_queue_url = \"https://sqs.us-east-1.amazonaws.com/1/events\"\n";
    let cases: [(&str, Place, &[&str]); 6] = [
        (second, Place::Instance, &["ec2:CreateSnapshots"]),
        (
            alarm,
            Place::Controller,
            &["autoscaling:SetInstanceHealth", "cloudwatch:DescribeAlarms"],
        ),
        (
            key,
            Place::Instance,
            &[
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:GenerateDataKeyWithoutPlaintext",
            ],
        ),
        (
            queue,
            Place::Controller,
            &[
                "autoscaling:DescribeAutoScalingInstances",
                "sqs:DeleteMessage",
                "sqs:ReceiveMessage",
            ],
        ),
        (
            "",
            Place::Lambda,
            &[
                "autoscaling:DescribeAutoScalingInstances",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ReceiveMessage",
                "sqs:SendMessage",
            ],
        ),
        (
            queue,
            Place::Operator,
            &[
                "autoscaling:DescribeScalingActivities",
                "autoscaling:SetInstanceHealth",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:DescribeSubnets",
            ],
        ),
    ];
    let usual = made(ORDERS, Place::Instance);
    for (line, place, brings) in cases {
        let policy = made(&format!("{ORDERS}{line}"), place);
        let mut more = actions(&policy);
        more.retain(|action| !actions(&usual).contains(action));
        assert_eq!(more, brings, "{line}");
    }
}

#[test]
fn a_pair_is_started_and_stopped_by_name() {
    let pair = "[[group]]\nname = \"gateway\"\nkind = \"pair\"\nmembers = [\"i-1\", \"i-2\"]\n\
                [[group.address]]\ntag = { key = \"service\", value = \"vpn\" }\n";
    let policy = made(pair, Place::Instance);
    let of_pair = policy
        .statement
        .iter()
        .find(|of| of.sid == "WorkOnPair")
        .unwrap();
    assert_eq!(
        of_pair.action.iter().collect::<Vec<_>>(),
        [
            "ec2:AssociateAddress",
            "ec2:StartInstances",
            "ec2:StopInstances"
        ]
    );
    let both: Vec<&str> = of_pair.resource.iter().collect();
    let arn = "arn:aws:ec2:us-east-1:123456789012:instance";
    assert_eq!(both, [format!("{arn}/i-1"), format!("{arn}/i-2")]);
    assert!(!policy.text().contains("autoscaling:"));
    assert!(!sids(&policy).contains(&"LookIntoPair"));
    assert!(sids(&made(pair, Place::Operator)).contains(&"LookIntoPair"));
}

/// No statement but the looking and the interfaces is without a bound.
#[test]
fn every_change_is_bound_to_the_group() {
    let everything = format!(
        "{ORDERS}kms_key_id = \"alias/data\"\n[[group.volume]]\nname = \"log\"\ndevice = \"/dev/sdg\"\n\
         kms_key_id = \"arn:aws:kms:us-east-1:1:key/k\"\n[[group.alarm]]\nname = \"sick\"\n\
         [[group]]\nname = \"vpn\"\nkind = \"pair\"\nmembers = [\"i-1\", \"i-2\"]\n\
         [[group.address]]\ntag = {{ key = \"a\", value = \"b\" }}\n\
         [[group.address]]\ntag = {{ key = \"c\", value = \"d\" }}\n"
    );
    for place in Place::ALL {
        let policy = made(&everything, place);
        for of in &policy.statement {
            let open = of.resource.iter().any(|arn| arn.ends_with('*'));
            let excused = [
                "LookAround",
                "MoveOwnAddresses",
                "LambdaReadsQueue",
                "GoOnLater",
            ];
            assert!(
                !open || !of.condition.is_empty() || excused.contains(&of.sid.as_str()),
                "{}: {:?}",
                of.sid,
                of.resource
            );
            assert!(of.action.iter().all(|action| !action.contains('*')));
            assert!(!of.why.is_empty());
        }
        let mut once = sids(&policy);
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), policy.statement.len());
    }
}

#[test]
fn where_nothing_runs_there_is_no_policy() {
    let config = spec::parse(
        "test",
        &ORDERS.replace("[[group.address]]", "agent = false\n[[group.address]]"),
    );
    let config = config.unwrap();
    assert_eq!(
        policy(&config, Place::Instance, &here()),
        Err(NoPolicy::NoAgent)
    );
    assert!(policy(&config, Place::Controller, &here()).is_ok());
}

#[test]
fn a_policy_that_no_role_takes_is_refused() {
    let many: String = (0..200)
        .map(|n| {
            format!(
                "[[group]]\nname = \"a-group-with-a-name-{n}\"\n\
                 [[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\n"
            )
        })
        .collect();
    let config = spec::parse("test", &many).unwrap();
    let refused = policy(&config, Place::Controller, &here()).unwrap_err();
    assert!(matches!(refused, NoPolicy::TooLong(n) if n > INLINE_MOST));
    assert!(refused.to_string().contains("--group NAME"));
}

#[test]
fn without_an_account_everything_is_as_narrow_as_it_can_be() {
    let config = spec::parse("test", ORDERS).unwrap();
    let policy = policy(&config, Place::Instance, &Scope::new(None, None, None)).unwrap();
    let text = policy.text();
    assert!(text.contains("arn:aws:ec2:*:*:volume/*"));
    assert!(!text.contains("aws:RequestedRegion"));
}
