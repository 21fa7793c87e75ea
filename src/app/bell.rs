//! Tells other nodes at once that something changed, through Redis: "look at the change feed", and nothing else. What
//! changed is the database's to say, so that a message lost, repeated or forged does no harm.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{Client, RedisResult};
use tokio::sync::Notify;

/// How long to wait before Redis is tried again.
const PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

/// The bell of one node.
#[derive(Debug)]
pub struct Bell {
    /// Redis and the channel's name; without it other nodes learn of changes by their next look alone.
    line: Option<(Client, String)>,
    rung: Notify,
    heard: Notify,
}

impl Bell {
    /// A bell that is heard in the Redis of `client`, by nodes with the same `prefix`.
    #[must_use]
    pub fn new(client: Option<Client>, prefix: &str) -> Self {
        Self { line: client.map(|client| (client, format!("{prefix}:changes"))), rung: Notify::new(), heard: Notify::new() }
    }

    /// To be called after a commit that left lines in the change feed.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// Waits until another node has rung.
    pub async fn heard(&self) {
        self.heard.notified().await;
    }

    /// Carries rings out and in until dropped; without Redis there is nothing to do, for ever.
    pub async fn carry(&self) {
        match &self.line {
            Some((client, channel)) => {
                tokio::join!(self.send(client, channel), self.listen(client, channel));
            }
            None => std::future::pending().await,
        }
    }

    async fn send(&self, client: &Client, channel: &str) {
        let mut connection = None;
        loop {
            self.rung.notified().await;
            // What rings meanwhile is carried by the next message.
            let sent = tokio::time::timeout(PATIENCE, async {
                let open = match connection.take() {
                    Some(open) => open,
                    None => client.get_multiplexed_async_connection().await?,
                };
                let line = connection.insert(open);
                redis::cmd("PUBLISH").arg(channel).arg("").query_async::<()>(line).await
            });
            if !matches!(sent.await, Ok(Ok(()))) {
                connection = None;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn listen(&self, client: &Client, channel: &str) {
        loop {
            // Any end of it is the same: wait, and begin anew.
            let _ = self.listen_once(client, channel).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn listen_once(&self, client: &Client, channel: &str) -> RedisResult<()> {
        let Ok(line) = tokio::time::timeout(PATIENCE, client.get_async_pubsub()).await else { return Ok(()) };
        let mut line = line?;
        let Ok(subscribed) = tokio::time::timeout(PATIENCE, line.subscribe(channel)).await else { return Ok(()) };
        subscribed?;
        // What rang before is not told again.
        self.heard.notify_one();
        let mut messages = line.on_message();
        while messages.next().await.is_some() {
            self.heard.notify_one();
        }
        Ok(())
    }
}
