//! How are resources named? ARNs, as narrow as what is known of the account.

/// In which account and region; what is not known is `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub partition: String,
    pub region: String,
    pub account: String,
}

pub(super) const ANY: &str = "*";

impl Scope {
    /// Without a partition, the region tells it.
    pub fn new(partition: Option<&str>, region: Option<&str>, account: Option<&str>) -> Self {
        let region = region.unwrap_or(ANY);
        Self {
            partition: partition.unwrap_or_else(|| partition_of(region)).to_owned(),
            region: region.to_owned(),
            account: account.unwrap_or(ANY).to_owned(),
        }
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        let Self {
            partition,
            region,
            account,
        } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }

    pub(super) fn volumes(&self) -> String {
        self.arn("ec2", "volume/*")
    }

    /// The one kind whose ARNs have no account: anyone's may be shared.
    pub(super) fn snapshots(&self) -> String {
        format!("arn:{}:ec2:{}::snapshot/*", self.partition, self.region)
    }

    pub(super) fn instance(&self, id: &str) -> String {
        self.arn("ec2", &format!("instance/{id}"))
    }

    pub(super) fn address(&self, id: &str) -> String {
        self.arn("ec2", &format!("elastic-ip/{id}"))
    }

    pub(super) fn interfaces(&self) -> String {
        self.arn("ec2", "network-interface/*")
    }

    /// Its second name is one that only AWS knows.
    pub(super) fn group(&self, name: &str) -> String {
        let name = literally(name);
        self.arn(
            "autoscaling",
            &format!("autoScalingGroup:*:autoScalingGroupName/{name}"),
        )
    }

    pub(super) fn key(&self, id: &str) -> String {
        self.arn("kms", &format!("key/{}", literally(id)))
    }

    /// From its URL, `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`.
    pub(super) fn queue(&self, url: &str) -> String {
        let mut parts = url.rsplit('/').filter(|part| !part.is_empty());
        let name = parts.next().unwrap_or(ANY);
        let account = parts.next().unwrap_or(ANY);
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        let named = host.strip_prefix("sqs.").and_then(|h| h.split('.').next());
        Self {
            region: named.unwrap_or(&self.region).to_owned(),
            account: account.to_owned(),
            ..self.clone()
        }
        .arn("sqs", &literally(name))
    }

    /// Any queue there: which one, the event says.
    pub(super) fn queues(&self) -> String {
        self.arn("sqs", ANY)
    }

    /// EC2, as KMS sees it when it asks in somebody's name.
    pub(super) fn ec2(&self) -> String {
        let suffix = match self.partition.as_str() {
            "aws-cn" => "amazonaws.com.cn",
            "aws-eusc" => "amazonaws.eu",
            _ => "amazonaws.com",
        };
        format!("ec2.{}.{suffix}", self.region)
    }

    pub(super) fn knows_region(&self) -> bool {
        self.region != ANY
    }
}

fn partition_of(region: &str) -> &'static str {
    match region {
        cn if cn.starts_with("cn-") => "aws-cn",
        gov if gov.starts_with("us-gov-") => "aws-us-gov",
        eu if eu.starts_with("eusc-") => "aws-eusc",
        _ => "aws",
    }
}

/// Where IAM reads patterns and variables: just these characters.
pub(super) fn literally(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' => out.push_str("${*}"),
            '?' => out.push_str("${?}"),
            '$' => out.push_str("${$}"),
            other => out.push(other),
        }
    }
    out
}

/// Where IAM reads variables but no patterns.
pub(super) fn exactly(text: &str) -> String {
    text.replace('$', "${$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_by_its_url() {
        let scope = Scope::new(None, Some("eu-west-1"), None);
        for (url, arn) in [
            (
                "https://sqs.us-east-1.amazonaws.com/123456789012/events",
                "arn:aws:sqs:us-east-1:123456789012:events",
            ),
            (
                "http://127.0.0.1:5000/123456789012/events",
                "arn:aws:sqs:eu-west-1:123456789012:events",
            ),
        ] {
            assert_eq!(scope.queue(url), arn);
        }
    }

    #[test]
    fn a_region_tells_its_partition() {
        let arn = |region| Scope::new(None, Some(region), Some("1")).volumes();
        assert_eq!(arn("cn-north-1"), "arn:aws-cn:ec2:cn-north-1:1:volume/*");
        assert_eq!(
            arn("us-gov-west-1"),
            "arn:aws-us-gov:ec2:us-gov-west-1:1:volume/*"
        );
        let sovereign = Scope::new(None, Some("eusc-de-east-1"), Some("1"));
        assert_eq!(
            sovereign.volumes(),
            "arn:aws-eusc:ec2:eusc-de-east-1:1:volume/*"
        );
        assert_eq!(sovereign.ec2(), "ec2.eusc-de-east-1.amazonaws.eu");
        let snapshots = Scope::new(None, None, None).snapshots();
        assert_eq!(snapshots, "arn:aws:ec2:*::snapshot/*");
    }

    #[test]
    fn a_name_is_no_pattern() {
        assert_eq!(literally("a*b?${c}"), "a${*}b${?}${$}{c}");
        assert_eq!(exactly("a*b${c}"), "a*b${$}{c}");
    }
}
