//! What other nodes changed: a one-second look at the `revocations` table, which only ever grows.
//!
//! Sequence numbers are drawn before a commit, so a row may become visible after a later one. The reader therefore
//! keeps asking from where it stood a minute ago; applying a row twice does no harm.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    app::App,
    domain::{
        Result,
        id::{AccountId, ApiKeyId, HeldTokenId, SessionId, UserId},
        session::EndReason,
    },
    store::{self, revocations::RevocationKind},
};

/// How long a row may stay invisible after a later one was seen: longer than any transaction may last.
const OVERLAP: Duration = Duration::from_secs(60);
const PAGE: u64 = 1_000;

/// The reader's place in the table.
#[derive(Debug)]
pub struct Feed {
    from: i64,
    seen: VecDeque<(Instant, i64)>,
    /// Rows after `from` that were applied, so that an overlapping look does not empty warm caches again.
    applied: BTreeSet<i64>,
}

impl Feed {
    /// A reader that starts at the table's present end. Caches must be empty at this moment.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open(app: &App) -> Result<Self> {
        let from = store::revocations::latest_seq(&app.db.read).await?;
        app.caches.fed();
        // What committed late but drew a lower number is caught by starting a little before the end.
        Ok(Self { from: (from - 1_000).max(0), seen: VecDeque::new(), applied: BTreeSet::new() })
    }

    /// Applies what is new.
    ///
    /// # Errors
    /// What the database says; the place is kept.
    pub async fn poll(&mut self, app: &App) -> Result<()> {
        let mut after = self.from;
        loop {
            let rows = store::revocations::since(&app.db.read, after, PAGE).await?;
            for row in &rows {
                after = after.max(row.seq);
                if !self.applied.insert(row.seq) {
                    continue;
                }
                match row.kind {
                    RevocationKind::Session => {
                        app.caches.end_session(SessionId(row.subject), EndReason::parse(&row.reason).unwrap_or(EndReason::Revoked));
                    }
                    RevocationKind::User => app.caches.forget_user(row.realm_id, UserId(row.subject)),
                    RevocationKind::Realm => app.caches.forget_realm(row.realm_id),
                    RevocationKind::Account => app.caches.forget_account(AccountId(row.subject)),
                    RevocationKind::ApiKey => app.caches.forget_key(ApiKeyId(row.subject)),
                    RevocationKind::HeldToken => app.held.forget(HeldTokenId(row.subject)),
                    RevocationKind::Plan => app.caches.forget_plans(),
                }
            }
            if (rows.len() as u64) < PAGE {
                break;
            }
        }
        app.caches.fed();
        let now = Instant::now();
        self.seen.push_back((now, after));
        while let Some((at, seq)) = self.seen.front().copied()
            && now.duration_since(at) > OVERLAP
        {
            self.from = self.from.max(seq);
            self.seen.pop_front();
        }
        self.applied = self.applied.split_off(&(self.from + 1));
        Ok(())
    }
}
