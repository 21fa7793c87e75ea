//! One at a time for each key, within this node.
//!
//! Guesses of one place at one account take turns: each is counted before its verdict, and without turns fifty right
//! passwords at once would be fifty wrong ones until the first is proved right.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The keys that somebody holds or waits for; nothing else is kept.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<String, Lock>>);

/// The turn of one key's holder, given on when dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    key: String,
    held: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the key's turn.
    pub async fn take(&self, key: String) -> Turn<'_> {
        let lock = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
        // Made before the wait, so that a caller who goes away while waiting leaves nothing behind.
        let mut turn = Turn { turns: self, key, held: None };
        turn.held = Some(lock.lock_owned().await);
        turn
    }

    /// How many keys are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no key is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut all = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits holds the lock as well: only the last one takes it away.
        if all.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_holds_a_key_others_wait_and_nothing_is_left() {
        let turns = Turns::default();
        let first = turns.take("a".to_owned()).await;
        let other = turns.take("b".to_owned()).await;
        assert!(tokio::time::timeout(Duration::from_millis(10), turns.take("a".to_owned())).await.is_err());
        assert_eq!(turns.len(), 2);
        drop(first);
        drop(tokio::time::timeout(Duration::from_secs(5), turns.take("a".to_owned())).await.expect("its turn"));
        drop(other);
        assert!(turns.is_empty());
    }
}
