//! Hints that spare the hot path its database reads. Nothing here is a promise: a restart may forget all of it.
//!
//! Coherence: a change made on this node invalidates at once, a change made elsewhere arrives by the revocation feed
//! within a second. While the feed is silent for [`FEED_MAX_AGE`], nothing is answered from here. A filler notes the
//! epoch before it reads and stores only if no invalidation came in between, so that a slow reader can't put back what was just thrown out.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use moka::sync::Cache as TimedCache;
use quick_cache::sync::Cache;

use super::meters::HitRate;
use crate::{
    crypto::signing::{SigningKey, VerifyingKey},
    domain::{
        account::Terms,
        api_key::ApiKey,
        id::{AccountId, ApiKeyId, RealmId, SessionId, UserId},
        realm::Realm,
        session::{EndReason, SignedIn},
        user::Profile,
    },
};

/// How old the last look at the revocation feed may be before caches stop answering.
pub const FEED_MAX_AGE: Duration = Duration::from_secs(5);

/// An access token that was verified in full once.
#[derive(Debug)]
pub struct VerifiedToken {
    pub realm_id: RealmId,
    /// Whom it proves.
    pub person: Arc<SignedIn>,
    /// The key that it was verified with.
    pub kid: String,
    /// When the use of its session was last noted, seconds since the epoch.
    pub noted_at: AtomicI64,
}

/// A guess that stands in the database as a wrong one and was none.
#[derive(Clone, Copy, Debug)]
pub enum OwedGuess {
    /// Nobody knows whether it was counted; it was not looked at.
    Unseen,
    /// The password was right: the place's count with it, and until when the place is welcome.
    Right(i32, Option<DateTime<Utc>>),
}

/// A realm's keys, opened.
#[derive(Debug)]
pub struct KeySet {
    /// Signs new tokens.
    pub current: SigningKey,
    /// All that may still verify, by `kid`.
    pub verifying: HashMap<String, VerifyingKey>,
    /// The public half of all of them (RFC 7517 section 5).
    pub jwks: serde_json::Value,
    /// When another key signs or one verifies no more: from then on this set is out of date.
    pub turns_at: Option<DateTime<Utc>>,
}

/// The node's memory. What time takes away by itself is in the caches that keep it; the others, which the hot path asks, are
/// bounded by their number of entries alone.
#[derive(Debug)]
pub struct Caches {
    hosts: Cache<String, Option<RealmId>>,
    realms: Cache<RealmId, Arc<Realm>>,
    keys: Cache<RealmId, Arc<KeySet>>,
    tokens: Cache<[u8; 32], Arc<VerifiedToken>>,
    ended: TimedCache<SessionId, EndReason>,
    profiles: Cache<(RealmId, UserId), Arc<Profile>>,
    api_keys: Cache<ApiKeyId, Arc<ApiKey>>,
    proved_keys: Cache<[u8; 32], ApiKeyId>,
    unknown_keys: TimedCache<[u8; 32], ()>,
    ancestry: Cache<(AccountId, AccountId), bool>,
    terms: Cache<AccountId, Arc<Terms>>,
    told: TimedCache<String, DateTime<Utc>>,
    owed_guesses: TimedCache<String, OwedGuess>,
    epoch: AtomicU64,
    uses: Mutex<HashMap<SessionId, (RealmId, DateTime<Utc>)>>,
    started: Instant,
    /// Milliseconds after `started` of the last good look at the feed.
    fed_at: AtomicU64,
    rates: Rates,
}

/// How often each cache had what it was asked for.
#[derive(Debug, Default)]
struct Rates {
    hosts: HitRate,
    realms: HitRate,
    keys: HitRate,
    tokens: HitRate,
    profiles: HitRate,
}

impl Default for Caches {
    fn default() -> Self {
        // An ended session is remembered until the last access token that it could have issued has expired.
        let ended_for = Duration::from_secs(70 * 60);
        Self {
            hosts: Cache::new(20_000),
            realms: Cache::new(10_000),
            keys: Cache::new(10_000),
            tokens: Cache::new(50_000),
            ended: TimedCache::builder().time_to_live(ended_for).build(),
            profiles: Cache::new(20_000),
            api_keys: Cache::new(50_000),
            proved_keys: Cache::new(50_000),
            unknown_keys: TimedCache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(60)).build(),
            ancestry: Cache::new(50_000),
            terms: Cache::new(50_000),
            owed_guesses: TimedCache::builder().max_capacity(20_000).time_to_live(Duration::from_secs(3_600)).build(),
            told: TimedCache::builder().max_capacity(20_000).time_to_live(Duration::from_secs(86_400)).build(),
            epoch: AtomicU64::new(0),
            uses: Mutex::default(),
            started: Instant::now(),
            fed_at: AtomicU64::new(0),
            rates: Rates::default(),
        }
    }
}

/// The state of the caches before a read that is to fill them.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(u64);

impl Caches {
    /// Whether the revocation feed was read lately enough for the caches to answer.
    #[must_use]
    pub fn fresh(&self) -> bool {
        self.feed_age() <= FEED_MAX_AGE
    }

    /// How long ago the revocation feed was read.
    #[must_use]
    pub fn feed_age(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.fed_at.load(Ordering::Relaxed)))
    }

    /// Notes that the feed was read now.
    pub fn fed(&self) {
        let at = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.fed_at.store(at, Ordering::Relaxed);
    }

    /// Each cache with how often it had what it was asked for, and how many entries it has, about.
    #[must_use]
    pub fn usage(&self) -> [(&'static str, &HitRate, u64); 5] {
        let rates = &self.rates;
        [
            ("hosts", &rates.hosts, self.hosts.len() as u64),
            ("realms", &rates.realms, self.realms.len() as u64),
            ("keys", &rates.keys, self.keys.len() as u64),
            ("tokens", &rates.tokens, self.tokens.len() as u64),
            ("profiles", &rates.profiles, self.profiles.len() as u64),
        ]
    }

    /// To be taken before a read that fills a cache.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    fn unchanged(&self, since: Epoch) -> bool {
        self.epoch.load(Ordering::Acquire) == since.0
    }

    fn turn(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The realm behind a host or name: `None` if not known here, `Some(None)` if known to be no realm.
    #[must_use]
    pub fn host(&self, host: &str) -> Option<Option<RealmId>> {
        self.rates.hosts.note(if self.fresh() { self.hosts.get(host) } else { None })
    }

    /// Remembers what a host means.
    pub fn put_host(&self, since: Epoch, host: &str, realm: Option<RealmId>) {
        if self.unchanged(since) {
            self.hosts.insert(host.to_owned(), realm);
        }
    }

    /// A realm.
    #[must_use]
    pub fn realm(&self, id: RealmId) -> Option<Arc<Realm>> {
        self.rates.realms.note(if self.fresh() { self.realms.get(&id) } else { None })
    }

    /// Remembers a realm.
    pub fn put_realm(&self, since: Epoch, realm: &Arc<Realm>) {
        if self.unchanged(since) {
            self.realms.insert(realm.id, Arc::clone(realm));
        }
    }

    /// A realm's opened keys.
    #[must_use]
    pub fn keys(&self, id: RealmId) -> Option<Arc<KeySet>> {
        self.rates.keys.note(if self.fresh() { self.keys.get(&id) } else { None })
    }

    /// Remembers a realm's keys.
    pub fn put_keys(&self, since: Epoch, id: RealmId, keys: &Arc<KeySet>) {
        if self.unchanged(since) {
            self.keys.insert(id, Arc::clone(keys));
        }
    }

    /// A verified token by the SHA-256 of its text, if its session is not known to be over.
    ///
    /// # Errors
    /// The reason, if the session is over.
    pub fn token(&self, hash: &[u8; 32]) -> Result<Option<Arc<VerifiedToken>>, EndReason> {
        let found = if self.fresh() { self.tokens.get(hash) } else { None };
        let Some(token) = self.rates.tokens.note(found) else { return Ok(None) };
        match self.ended.get(&token.person.session_id) {
            Some(reason) => Err(reason),
            None => Ok(Some(token)),
        }
    }

    /// Remembers a verified token. Needs no epoch: whether its session is over is asked at each use.
    pub fn put_token(&self, hash: [u8; 32], token: &Arc<VerifiedToken>) {
        self.tokens.insert(hash, Arc::clone(token));
    }

    /// Why a session is over, if this node knows that it is.
    #[must_use]
    pub fn session_end(&self, id: SessionId) -> Option<EndReason> {
        self.ended.get(&id)
    }

    /// Notes that a session is over.
    pub fn end_session(&self, id: SessionId, reason: EndReason) {
        self.ended.insert(id, reason);
    }

    /// Notes what is to be taken back of a place's count, because the database did not answer when it was time to.
    pub fn owe_guess(&self, place: String, owed: OwedGuess) {
        self.owed_guesses.insert(place, owed);
    }

    /// Takes what is owed to a place.
    #[must_use]
    pub fn take_owed_guess(&self, place: &str) -> Option<OwedGuess> {
        self.owed_guesses.remove(place)
    }

    /// Whether no more notices of that key are to be sent for now. Never invalidated: what was told stays told.
    #[must_use]
    pub fn is_told(&self, key: &str, now: DateTime<Utc>) -> bool {
        self.told.get(key).is_some_and(|until| now < until)
    }

    /// Notes that all notices of a key were sent that may be sent before `until`.
    pub fn note_told(&self, key: &str, until: DateTime<Utc>) {
        self.told.insert(key.to_owned(), until);
    }

    /// A user with their places.
    #[must_use]
    pub fn profile(&self, realm: RealmId, user: UserId) -> Option<Arc<Profile>> {
        self.rates.profiles.note(if self.fresh() { self.profiles.get(&(realm, user)) } else { None })
    }

    /// Remembers a user.
    pub fn put_profile(&self, since: Epoch, profile: &Arc<Profile>) {
        if self.unchanged(since) {
            self.profiles.insert((profile.user.realm_id, profile.user.id), Arc::clone(profile));
        }
    }

    /// An account with its plan.
    #[must_use]
    pub fn terms(&self, id: AccountId) -> Option<Arc<Terms>> {
        if self.fresh() { self.terms.get(&id) } else { None }
    }

    /// Remembers an account with its plan.
    pub fn put_terms(&self, since: Epoch, terms: &Arc<Terms>) {
        if self.unchanged(since) {
            self.terms.insert(terms.account.id, Arc::clone(terms));
        }
    }

    /// Forgets an account, because something about it changed, and every person: profiles hold the names of accounts.
    pub fn forget_account(&self, id: AccountId) {
        self.turn();
        self.terms.remove(&id);
        self.profiles.clear();
    }

    /// Forgets all accounts, because a plan changed.
    pub fn forget_plans(&self) {
        self.turn();
        self.terms.clear();
    }

    /// Forgets a user, because something about them changed.
    pub fn forget_user(&self, realm: RealmId, user: UserId) {
        self.turn();
        self.profiles.remove(&(realm, user));
    }

    /// Forgets a realm, its hosts and its keys, because something about it changed.
    pub fn forget_realm(&self, realm: RealmId) {
        self.turn();
        self.realms.remove(&realm);
        self.keys.remove(&realm);
        // Which hosts lead to it is not worth an index: realms change rarely and hosts refill with one read each.
        self.hosts.clear();
    }

    /// Which key a credential is, by the SHA-256 of its text: `None` if not known here, `Some(None)` if known to be none.
    #[must_use]
    pub fn proved_key(&self, hash: &[u8; 32]) -> Option<Option<ApiKeyId>> {
        match self.proved_keys.get(hash) {
            Some(id) => Some(Some(id)),
            None => self.unknown_keys.get(hash).map(|()| None),
        }
    }

    /// Remembers which key a credential is. Needs no epoch: no key ever gets another secret, and none can be made whose
    /// secret was shown before.
    pub fn put_proved_key(&self, hash: [u8; 32], key: Option<ApiKeyId>) {
        match key {
            Some(key) => self.proved_keys.insert(hash, key),
            None => self.unknown_keys.insert(hash, ()),
        }
    }

    /// An API key.
    #[must_use]
    pub fn api_key(&self, id: ApiKeyId) -> Option<Arc<ApiKey>> {
        if self.fresh() { self.api_keys.get(&id) } else { None }
    }

    /// Remembers an API key.
    pub fn put_api_key(&self, since: Epoch, key: &Arc<ApiKey>) {
        if self.unchanged(since) {
            self.api_keys.insert(key.id, Arc::clone(key));
        }
    }

    /// Forgets an API key, because something about it changed.
    pub fn forget_key(&self, id: ApiKeyId) {
        self.turn();
        self.api_keys.remove(&id);
    }

    /// How many keys, and how many texts that are none, are remembered.
    #[must_use]
    pub fn key_counts(&self) -> (u64, u64) {
        self.unknown_keys.run_pending_tasks();
        (self.proved_keys.len() as u64, self.unknown_keys.entry_count())
    }

    /// Whether `actor` is `target` or above it, if that is known here.
    #[must_use]
    pub fn ancestry(&self, actor: AccountId, target: AccountId) -> Option<bool> {
        self.ancestry.get(&(actor, target))
    }

    /// Remembers whether `actor` is above `target`.
    pub fn put_ancestry(&self, actor: AccountId, target: AccountId, acts: bool) {
        self.ancestry.insert((actor, target), acts);
    }

    /// Notes that a session was used; [`Caches::take_uses`] hands the stamps on for writing.
    pub fn note_use(&self, realm: RealmId, session: SessionId, at: DateTime<Utc>) {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(session, (realm, at));
    }

    /// Takes all stamps that are not written yet.
    #[must_use]
    pub fn take_uses(&self) -> Vec<(RealmId, SessionId, DateTime<Utc>)> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.drain().map(|(session, (realm, at))| (realm, session, at)).collect()
    }
}
