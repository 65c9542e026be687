//! How does one take messages from a queue, and leave one there for later?

use std::time::Duration;

use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName as Attribute,
};

use super::call::Ask;
use super::{Aws, AwsError, client};

/// As many as one call gives or takes.
const BATCH: usize = 10;
/// As long as a queue may be asked to wait for a message.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// As long as a message may be held back.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// A message as a queue hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub id: String,
    pub body: String,
    /// How often it was handed over, this time included.
    pub receives: u32,
    /// What it is acknowledged with.
    receipt: String,
}

impl Aws {
    /// Waits for messages for at most `max_wait` (20 s are the most there is);
    /// returns up to ten, or none.
    ///
    /// # Errors
    /// When the queue does not exist, may not be read, or gives no answer.
    pub async fn receive(
        &self,
        queue_url: &str,
        max_wait: Duration,
    ) -> Result<Vec<Received>, AwsError> {
        let wait = max_wait.min(LONGEST_WAIT);
        let ask = Ask::new(
            "sqs:ReceiveMessage",
            format!("receive from the queue {queue_url}"),
        );
        let answer = self
            .call(&ask, async || {
                self.sqs
                    .receive_message()
                    .queue_url(queue_url)
                    .max_number_of_messages(BATCH as i32)
                    .wait_time_seconds(whole_seconds(wait))
                    .message_system_attribute_names(Attribute::ApproximateReceiveCount)
                    .customize()
                    .config_override(client::patient(wait))
                    .send()
                    .await
            })
            .await?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages.into_iter().map(received).collect())
    }

    /// These messages are done with and do not come again. One that cannot be
    /// acknowledged comes again, which costs a look.
    ///
    /// # Errors
    /// When the queue takes none of it.
    pub async fn acknowledge(
        &self,
        queue_url: &str,
        messages: &[Received],
    ) -> Result<(), AwsError> {
        let doing = format!("acknowledge messages in the queue {queue_url}");
        let ask = Ask::new("sqs:DeleteMessage", doing);
        for batch in messages.chunks(BATCH) {
            let mut entries = Vec::new();
            for (at, message) in batch.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder()
                    .id(at.to_string())
                    .receipt_handle(&message.receipt)
                    .build()
                    .map_err(|error| AwsError::odd(&ask.doing, ask.action, error.to_string()))?;
                entries.push(entry);
            }
            let answer = self
                .call(&ask, async || {
                    self.sqs
                        .delete_message_batch()
                        .queue_url(queue_url)
                        .set_entries(Some(entries.clone()))
                        .send()
                        .await
                })
                .await?;
            if let Some(refused) = answer.failed.first() {
                tracing::warn!(
                    queue = queue_url,
                    messages = answer.failed.len(),
                    code = refused.code(),
                    "not all messages could be acknowledged; they come again"
                );
            }
        }
        Ok(())
    }

    /// Leaves a message that is handed over after `delay` (15 minutes are the
    /// most there is).
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn send_later(
        &self,
        queue_url: &str,
        body: &str,
        delay: Duration,
    ) -> Result<(), AwsError> {
        let delay = whole_seconds(delay.min(LONGEST_DELAY));
        let ask = Ask::new("sqs:SendMessage", format!("send to the queue {queue_url}"));
        let answer = self
            .call(&ask, async || {
                self.sqs
                    .send_message()
                    .queue_url(queue_url)
                    .message_body(body)
                    .delay_seconds(delay)
                    .send()
                    .await
            })
            .await?;
        match answer.message_id {
            Some(_) => Ok(()),
            None => {
                let problem = "the answer has no id of a message";
                Err(AwsError::garbled(&ask.doing, ask.action, problem))
            }
        }
    }

    /// Where the queue with this ARN is reached.
    ///
    /// # Errors
    /// When the ARN is none of a queue, or there is no such queue.
    pub async fn queue_url_of(&self, arn: &str) -> Result<String, AwsError> {
        let ask = Ask::new("sqs:GetQueueUrl", format!("find the queue {arn}"));
        let Some((account, name)) = account_and_name(arn) else {
            return Err(AwsError::odd(
                &ask.doing,
                ask.action,
                "this is no ARN of a queue",
            ));
        };
        let answer = self
            .call(&ask, async || {
                self.sqs
                    .get_queue_url()
                    .queue_name(name)
                    .queue_owner_aws_account_id(account)
                    .send()
                    .await
            })
            .await?;
        answer
            .queue_url
            .ok_or_else(|| AwsError::odd(&ask.doing, ask.action, "the answer has no URL"))
    }
}

fn received(message: Message) -> Received {
    let receives = message
        .attributes
        .as_ref()
        .and_then(|all| all.get(&Attribute::ApproximateReceiveCount))
        .and_then(|count| count.parse().ok());
    Received {
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        receives: receives.unwrap_or(1),
        receipt: message.receipt_handle.unwrap_or_default(),
    }
}

fn account_and_name(arn: &str) -> Option<(&str, &str)> {
    let mut fields = arn.split(':');
    let is_queue = fields.next() == Some("arn")
        && fields.next().is_some()
        && fields.next() == Some("sqs")
        && fields.next().is_some();
    let (account, name) = (fields.next()?, fields.next()?);
    let whole = is_queue && !account.is_empty() && !name.is_empty() && fields.next().is_none();
    whole.then_some((account, name))
}

fn whole_seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_account_and_queue() {
        let of = account_and_name;
        assert_eq!(
            of("arn:aws-cn:sqs:cn-north-1:123456789012:rehome"),
            Some(("123456789012", "rehome"))
        );
        for odd in [
            "",
            "rehome",
            "arn:aws:sns:us-east-1:123456789012:rehome",
            "arn:aws:sqs:us-east-1::rehome",
            "arn:aws:sqs:us-east-1:123456789012",
            "arn:aws:sqs:us-east-1:123456789012:rehome:more",
        ] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }
}
