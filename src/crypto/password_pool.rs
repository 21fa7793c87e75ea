//! Password hashes: Argon2id with a pepper, a few at a time.
//!
//! As many run at once as there are threads for it (cores), some more wait, the rest are told to come back: hashing is the one
//! dear thing that strangers can ask for. The memory blocks are kept and used again, which saves the operating system
//! from mapping 19 MiB for each hash. Passwords are hashed as the bytes that came, untouched (OWASP ASVS 5.0 6.2.8).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    hash::ct_eq,
    hash_threads::{HashThreads, Kept},
    keyring::Keyring,
};
use crate::domain::{
    Error, Result,
    clock::Entropy,
    measure::{Counter, Histogram},
};

/// Longest password that is hashed; the domain refuses longer ones where they are set.
const MAX_BYTES: usize = 1_024;
const SALT: usize = 16;
const TAG: usize = 32;

/// Costs of a hash (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashParams {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
}

impl HashParams {
    fn argon2(self) -> Result<Argon2<'static>> {
        let params = Params::new(self.memory_kib, self.iterations, self.parallelism, Some(TAG));
        let params = params.map_err(|_| Error::Setup("the password hash settings are not valid Argon2 parameters".to_owned()))?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }

    /// Bounds for what stands in a row, so that a foreign hash can't ask for a gigabyte.
    fn bounded(self) -> bool {
        self.memory_kib <= 65_536 && (1..=10).contains(&self.iterations) && (1..=4).contains(&self.parallelism)
    }
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The password is the stored one.
    pub matches: bool,
    /// The stored hash has other costs or another pepper than new ones.
    pub needs_rehash: bool,
}

/// What the pool was asked for.
#[derive(Debug, Default)]
pub struct HashMeters {
    /// How long hashes waited for a thread.
    pub waited: Histogram,
    /// How long they then took.
    pub took: Histogram,
    /// How many were refused because too many waited.
    pub refused: Counter,
}

/// The pool.
#[derive(Debug)]
pub struct PasswordPool {
    params: HashParams,
    keyring: Arc<Keyring>,
    threads: HashThreads,
    blocks: Arc<Kept<Vec<Block>>>,
    pub meters: HashMeters,
    /// Keys that a hash needed and this node lacks, so that each is complained about once.
    missing: Mutex<BTreeSet<String>>,
}

/// What stands in the hash of a password that was peppered with the master key `id`, and in no other's.
#[must_use]
pub fn key_mark(id: &str) -> String {
    format!(",keyid={}$", STANDARD_NO_PAD.encode(id))
}

/// A stored hash, taken apart: `$argon2id$v=19$m=…,t=…,p=…,keyid=…$salt$tag`.
struct Stored {
    params: HashParams,
    key_id: String,
    salt: Vec<u8>,
    tag: Vec<u8>,
}

impl PasswordPool {
    /// A pool that runs `permits` hashes at once and lets `queue` more wait.
    #[must_use]
    pub fn new(params: HashParams, permits: usize, queue: usize, keyring: Arc<Keyring>) -> Self {
        Self { params, keyring, threads: HashThreads::new(permits, queue), blocks: Arc::default(), meters: HashMeters::default(), missing: Mutex::default() }
    }

    /// The hash of a new password, in PHC form, its tag peppered with the current master key.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many wait.
    pub async fn hash(&self, password: &SecretString, entropy: &dyn Entropy) -> Result<String> {
        let mut salt = [0; SALT];
        entropy.fill(&mut salt);
        let raw = self.run(self.params, password, salt.to_vec()).await?;
        let key_id = self.keyring.current_id();
        let tag = self.keyring.mac("pepper", &raw);
        let HashParams { memory_kib, iterations, parallelism } = self.params;
        let (salt, tag, key_id) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(tag), STANDARD_NO_PAD.encode(key_id));
        Ok(format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism},keyid={key_id}${salt}${tag}"))
    }

    /// Compares a password with a stored hash. Without one (no such user, no password) the same work is done for
    /// nothing, so that a stranger can't tell by the time.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many wait.
    pub async fn verify(&self, password: &SecretString, stored: Option<&str>) -> Result<Verdict> {
        let stored = stored.and_then(Stored::parse);
        let (params, salt) = match &stored {
            Some(stored) => (stored.params, stored.salt.clone()),
            None => (self.params, vec![0; SALT]),
        };
        let raw = self.run(params, password, salt).await?;
        let key_id = stored.as_ref().map_or(self.keyring.current_id(), |stored| &stored.key_id);
        let peppered = self.keyring.mac_with(key_id, "pepper", &raw);
        if peppered.is_none() {
            self.complain(key_id);
        }
        let right = match (&stored, peppered) {
            (Some(stored), Some(tag)) => ct_eq(&tag, &stored.tag),
            _ => false,
        };
        let current = stored.is_some_and(|stored| stored.params == self.params && stored.key_id == self.keyring.current_id());
        Ok(Verdict { matches: right && password.expose_secret().len() <= MAX_BYTES, needs_rehash: !current })
    }

    /// To a stranger it is a wrong password like any other; to the operator it is a node that locks people out.
    fn complain(&self, key_id: &str) {
        if self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(key_id.to_owned()) {
            tracing::error!(key = key_id, "passwords need a master key that this node lacks, and their people can't sign in here: add it and restart");
        }
    }

    /// Keys that passwords needed and this node lacks.
    #[must_use]
    pub fn missing_keys(&self) -> Vec<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    async fn run(&self, params: HashParams, password: &SecretString, salt: Vec<u8>) -> Result<[u8; TAG]> {
        let asked = Instant::now();
        // An overlong password costs what every other costs, not more; it never matches.
        let text = password.expose_secret();
        let password: SecretString = if text.len() > MAX_BYTES { SecretString::from("") } else { text.into() };
        let blocks = Arc::clone(&self.blocks);
        let work = move || {
            let begun = Instant::now();
            let argon2 = params.argon2()?;
            let wanted = argon2.params().block_count();
            let mut memory = blocks.take().unwrap_or_default();
            memory.resize(wanted, Block::new());
            let mut out = [0; TAG];
            let hashed = argon2.hash_password_into_with_memory(password.expose_secret().as_bytes(), &salt, &mut out, &mut memory);
            blocks.put(memory);
            hashed.map(|()| (out, begun, begun.elapsed())).map_err(|cause| Error::internal(cause.to_string()))
        };
        let ran = self.threads.run(work).await;
        let (hashed, begun, took) = ran.inspect_err(|error| {
            if matches!(error, Error::Busy { .. }) {
                self.meters.refused.add();
            }
        })??;
        self.meters.waited.record(begun - asked);
        self.meters.took.record(took);
        Ok(hashed)
    }

    /// How many may run at once.
    #[must_use]
    pub fn permits(&self) -> usize {
        self.threads.size()
    }

    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.threads.running()
    }

    /// How many wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.threads.waiting()
    }

    /// Gives kept memory back, except while hashes run. Called when the node is idle.
    pub fn trim(&self) {
        self.blocks.clear();
    }
}

impl Stored {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
        let (costs, salt, tag) = (parts.next()?, parts.next()?, parts.next()?);
        let mut params = HashParams { memory_kib: 0, iterations: 0, parallelism: 0 };
        let mut key_id = String::new();
        for pair in costs.split(',') {
            match pair.split_once('=')? {
                ("m", value) => params.memory_kib = value.parse().ok()?,
                ("t", value) => params.iterations = value.parse().ok()?,
                ("p", value) => params.parallelism = value.parse().ok()?,
                ("keyid", value) => key_id = String::from_utf8(STANDARD_NO_PAD.decode(value).ok()?).ok()?,
                _ => return None,
            }
        }
        let (salt, tag) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(tag).ok()?);
        (params.bounded() && parts.next().is_none()).then_some(Self { params, key_id, salt, tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::SeededEntropy;

    const CHEAP: HashParams = HashParams { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn pool(params: HashParams, keys: &str) -> PasswordPool {
        PasswordPool::new(params, 2, 1, Arc::new(Keyring::parse(keys).unwrap()))
    }

    const K1: &str = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const K2: &str = "k2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    #[tokio::test]
    async fn a_hash_matches_its_password_alone_and_asks_to_be_renewed() {
        let pool_1 = pool(CHEAP, K1);
        let hash = pool_1.hash(&"correct horse".into(), &SeededEntropy::new(1)).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1,keyid="));
        assert_eq!(pool_1.verify(&"correct horse".into(), Some(&hash)).await.unwrap(), Verdict { matches: true, needs_rehash: false });
        for wrong in ["correct hors", "Correct horse", "correct horse ", ""] {
            assert!(!pool_1.verify(&wrong.into(), Some(&hash)).await.unwrap().matches, "{wrong}");
        }
        assert!(!pool_1.verify(&"correct horse".into(), None).await.unwrap().matches);
        let dearer = pool(HashParams { iterations: 2, ..CHEAP }, K1);
        assert_eq!(dearer.verify(&"correct horse".into(), Some(&hash)).await.unwrap(), Verdict { matches: true, needs_rehash: true });
        let rotated = pool(CHEAP, &format!("{K2}\n{K1}"));
        assert_eq!(rotated.verify(&"correct horse".into(), Some(&hash)).await.unwrap(), Verdict { matches: true, needs_rehash: true });
        let lacking = pool(CHEAP, K2);
        assert!(!lacking.verify(&"correct horse".into(), Some(&hash)).await.unwrap().matches, "without its pepper");
        assert_eq!(lacking.missing_keys(), ["k1"]);
        assert!(hash.contains(&key_mark("k1")) && !hash.contains(&key_mark("k")) && !hash.contains(&key_mark("k11")));
    }

    #[tokio::test]
    async fn who_goes_away_while_waiting_leaves_the_line() {
        let pool = pool(HashParams { memory_kib: 32_768, iterations: 2, ..CHEAP }, K1);
        let secret: SecretString = "x".into();
        let mut first: Vec<_> = (0..3).map(|_| Box::pin(pool.verify(&secret, None))).collect();
        for asked in &mut first {
            assert!(futures_util::poll!(asked).is_pending());
        }
        assert!(matches!(pool.verify(&secret, None).await, Err(Error::Busy { .. })), "two run and one waits");
        drop(first.pop());
        assert!(pool.verify(&secret, None).await.is_ok(), "the place of the one that waited is free again");
        for asked in first {
            asked.await.unwrap();
        }
        assert_eq!((pool.running(), pool.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn overlong_passwords_never_match() {
        let pool = pool(CHEAP, K1);
        let empty = pool.hash(&"".into(), &SeededEntropy::new(1)).await.unwrap();
        assert!(!pool.verify(&"x".repeat(1_025).into(), Some(&empty)).await.unwrap().matches);
    }

    #[tokio::test]
    async fn a_full_queue_is_told_to_come_back() {
        let pool = Arc::new(pool(HashParams { memory_kib: 32_768, ..CHEAP }, K1));
        let tasks = (0..8).map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.verify(&"x".into(), None).await })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut busy = 0;
        for task in tasks {
            busy += usize::from(matches!(task.await.unwrap(), Err(Error::Busy { .. })));
        }
        assert!(busy > 0, "two run, one waits, the others are refused");
        pool.verify(&"x".into(), None).await.unwrap();
    }
}
