//! The master keys and everything derived from them: seals for secrets at rest, MACs, the pepper of password hashes.
//!
//! Text form, one key a line, the first is current: `<id>:<base64 of 32 bytes>`. Each use has its own sub-key
//! (HKDF-SHA256, RFC 5869), so that no value made for one purpose means anything for another.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, os::unix::fs::PermissionsExt as _, path::Path};

use aws_lc_rs::{aead, hkdf, hmac};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use crate::domain::{Error, Result, clock::Entropy};

/// What the database keeps sealed, to tell at start whether the master key fits it.
const CHECK: &[u8] = b"realmgate master key check 1";
const CHECK_AAD: &str = "installation|key_check";
const NONCE: usize = 12;

struct MasterKey {
    id: String,
    bytes: [u8; 32],
}

/// All master keys, the current one first.
pub struct Keyring {
    keys: Vec<MasterKey>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("current", &self.current_id()).finish_non_exhaustive()
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        for key in &mut self.keys {
            key.bytes = [0; 32];
        }
    }
}

impl Keyring {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`Error::Setup`] that says what a key must look like, without showing any.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::Setup("the master key must be lines of `<id>:<base64 of 32 bytes>`; make one with `openssl rand -base64 32` and an id such as k1".to_owned())
        };
        let mut keys: Vec<MasterKey> = Vec::new();
        for line in text.split(['\n', ',']).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (id, key) = line.split_once(':').ok_or_else(wrong)?;
            let usable = (1..=16).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
            let bytes = STANDARD.decode(key.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            let (true, Some(bytes)) = (usable && keys.iter().all(|known| known.id != id), bytes) else { return Err(wrong()) };
            keys.push(MasterKey { id: id.to_owned(), bytes });
        }
        if keys.is_empty() { Err(wrong()) } else { Ok(Self { keys }) }
    }

    /// Reads the key file, or makes one with a fresh key, readable by its owner alone.
    ///
    /// # Errors
    /// [`Error::Setup`] for a file that can't be read, that others may read, or that holds no key.
    pub fn load_or_create(path: &Path, entropy: &dyn Entropy) -> Result<Self> {
        let setup = |what: &str, cause: &std::io::Error| Error::Setup(format!("{what} the master key file {}: {cause}", path.display()));
        match fs::read_to_string(path) {
            Ok(text) => {
                refuse_readable(path)?;
                Self::parse(&text)
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = [0; 32];
                entropy.fill(&mut bytes);
                let text = format!("k1:{}\n", STANDARD.encode(bytes));
                write_once(path, text.as_bytes()).map_err(|cause| setup("can't write", &cause))?;
                // Read back: of two processes that start at once, one wrote the file that both use.
                Self::parse(&fs::read_to_string(path).map_err(|cause| setup("can't read", &cause))?)
            }
            Err(cause) => Err(setup("can't read", &cause)),
        }
    }

    /// What keeps [`Keyring::load_or_create`] from working with a file that is there. Makes nothing.
    ///
    /// # Errors
    /// [`Error::Setup`] with what to do about it.
    pub fn inspect(path: &Path) -> Result<()> {
        match fs::read_to_string(path) {
            Ok(text) => refuse_readable(path).and_then(|()| Self::parse(&text)).map(drop),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(Error::Setup(format!("can't read the master key file {}: {cause}", path.display()))),
        }
    }

    /// The id of the key that new values are made with.
    #[must_use]
    pub fn current_id(&self) -> &str {
        &self.keys[0].id
    }

    /// The ids of all keys, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    fn find(&self, id: &str) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// HMAC-SHA256 for `purpose` with the current key.
    #[must_use]
    pub fn mac(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        mac(&self.keys[0], purpose, data)
    }

    /// The same with the key of that id, if it is still there.
    #[must_use]
    pub fn mac_with(&self, key_id: &str, purpose: &str, data: &[u8]) -> Option<[u8; 32]> {
        self.find(key_id).map(|key| mac(key, purpose, data))
    }

    /// Seals `plain` with AES-256-GCM, tied to `aad` (`table|realm|row|column`): `<key id>.<base64url(nonce ‖ box)>`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the cipher refuses, which it does for no input.
    pub fn seal(&self, aad: &str, plain: &[u8], entropy: &dyn Entropy) -> Result<String> {
        let key = &self.keys[0];
        Ok(format!("{}.{}", key.id, seal(&derive(key, "seal"), aad.as_bytes(), plain, entropy)?))
    }

    /// Opens what [`Keyring::seal`] made for the same `aad`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the key is gone or the value was made for another place.
    pub fn unseal(&self, aad: &str, sealed: &str) -> Result<Vec<u8>> {
        let (id, sealed) = sealed.split_once('.').ok_or_else(|| Error::internal("a sealed value has no key id"))?;
        let key = self.find(id).ok_or_else(|| Error::internal(format!("the master key `{id}` that sealed a value is gone")))?;
        open(&derive(key, "seal"), aad.as_bytes(), sealed)
    }

    /// A value for the database by which [`Keyring::check`] knows this keyring again.
    ///
    /// # Errors
    /// As [`Keyring::seal`].
    pub fn key_check(&self, entropy: &dyn Entropy) -> Result<String> {
        self.seal(CHECK_AAD, CHECK, entropy)
    }

    /// The id of the key that sealed a value.
    #[must_use]
    pub fn id_of<'s>(&self, sealed: &'s str) -> &'s str {
        sealed.split_once('.').map_or("", |(id, _)| id)
    }

    /// Whether a value is sealed with the key that new ones are sealed with.
    #[must_use]
    pub fn is_current(&self, sealed: &str) -> bool {
        self.id_of(sealed) == self.current_id()
    }

    /// Whether this keyring has the key `id` that made `check`.
    ///
    /// # Errors
    /// [`Error::Setup`] that says what to do.
    pub fn check(&self, id: &str, check: &str) -> Result<()> {
        if self.find(id).is_none() {
            return Err(Error::Setup(format!(
                "the master key does not fit this database: its key `{id}` is missing, and stored secrets or passwords need it; add it to REALMGATE_MASTER_KEY or master_key_file"
            )));
        }
        match self.unseal(CHECK_AAD, check) {
            Ok(plain) if plain == CHECK => Ok(()),
            _ => Err(Error::Setup(format!(
                "the master key does not fit this database: its key `{id}` is another one than yours; set REALMGATE_MASTER_KEY or master_key_file to the key that the database was made with"
            ))),
        }
    }
}

/// A key that others can read is theirs.
fn refuse_readable(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|cause| Error::Setup(format!("can't look at the master key file {}: {cause}", path.display())))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::Setup(format!("the master key file {0} can be read by others; run `chmod 600 {0}`", path.display())))
}

fn mac(key: &MasterKey, purpose: &str, data: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &derive(key, purpose));
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&key, data).as_ref());
    out
}

fn derive(key: &MasterKey, purpose: &str) -> [u8; 32] {
    expand(&key.bytes, purpose)
}

fn expand(secret: &[u8; 32], purpose: &str) -> [u8; 32] {
    let mut out = [0; 32];
    let info = [b"realmgate v1 ", purpose.as_bytes()];
    let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret).expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut out));
    // 32 bytes of SHA-256 output are never too long; a zero key must not be used if they ever were.
    if filled.is_err() {
        std::process::abort();
    }
    out
}

fn cipher(key: &[u8; 32]) -> Result<aead::LessSafeKey> {
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).map_err(|_| Error::internal("AES-256-GCM refused a key"))?;
    Ok(aead::LessSafeKey::new(key))
}

fn seal(key: &[u8; 32], aad: &[u8], plain: &[u8], entropy: &dyn Entropy) -> Result<String> {
    let mut nonce = [0; NONCE];
    entropy.fill(&mut nonce);
    let mut data = plain.to_vec();
    let sealed = cipher(key)?.seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(aad), &mut data);
    sealed.map_err(|_| Error::internal("AES-256-GCM refused a value"))?;
    let mut all = nonce.to_vec();
    all.extend(data);
    Ok(URL_SAFE_NO_PAD.encode(all))
}

fn open(key: &[u8; 32], aad: &[u8], sealed: &str) -> Result<Vec<u8>> {
    let broken = || Error::internal("a sealed value can't be opened");
    let mut all = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| broken())?;
    if all.len() < NONCE {
        return Err(broken());
    }
    let mut data = all.split_off(NONCE);
    let nonce = aead::Nonce::try_assume_unique_for_key(&all).map_err(|_| broken())?;
    let plain = cipher(key)?.open_in_place(nonce, aead::Aad::from(aad), &mut data).map_err(|_| broken())?;
    Ok(plain.to_vec())
}

/// Writes a file that only its owner may read, unless it exists; whole or not at all, also after a power cut.
fn write_once(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // A hard link does not replace: the first of two writers wins.
    let linked = match fs::hard_link(&unfinished, path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => Err(cause),
        _ => Ok(()),
    };
    fs::remove_file(&unfinished)?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    linked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::SeededEntropy;

    fn ring(keys: &[(&str, u8)]) -> Keyring {
        let text: Vec<_> = keys.iter().map(|(id, byte)| format!("{id}:{}", STANDARD.encode([*byte; 32]))).collect();
        Keyring::parse(&text.join("\n")).unwrap()
    }

    #[test]
    fn seals_are_tied_to_their_place_and_key() {
        let entropy = SeededEntropy::new(1);
        let old = ring(&[("k1", 1)]);
        let sealed = old.seal("t|r|1|c", b"secret", &entropy).unwrap();
        assert_eq!(old.unseal("t|r|1|c", &sealed).unwrap(), b"secret");
        assert!(old.unseal("t|r|2|c", &sealed).is_err(), "another row");
        assert!(ring(&[("k1", 2)]).unseal("t|r|1|c", &sealed).is_err(), "another key of the same id");
        let rotated = ring(&[("k2", 2), ("k1", 1)]);
        assert_eq!(rotated.unseal("t|r|1|c", &sealed).unwrap(), b"secret", "an older key still opens");
        assert!(rotated.seal("x", b"", &entropy).unwrap().starts_with("k2."));
        assert!(!sealed.contains("secret"));
    }

    #[test]
    fn a_wrong_master_key_is_told_with_its_cure() {
        let check = ring(&[("k1", 1)]).key_check(&SeededEntropy::new(1)).unwrap();
        ring(&[("k1", 1)]).check("k1", &check).unwrap();
        ring(&[("k2", 2), ("k1", 1)]).check("k1", &check).unwrap();
        for wrong in [ring(&[("k1", 9)]), ring(&[("k2", 1)]), ring(&[("k2", 2), ("k1", 9)])] {
            let error = wrong.check("k1", &check).unwrap_err().to_string();
            assert!(error.contains("REALMGATE_MASTER_KEY") && error.contains("`k1`") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn macs_differ_by_purpose_and_key() {
        let ring = ring(&[("k1", 1), ("k2", 2)]);
        assert_ne!(ring.mac("a", b"x"), ring.mac("b", b"x"));
        assert_ne!(Some(ring.mac("a", b"x")), ring.mac_with("k2", "a", b"x"));
        assert_eq!(ring.mac_with("k3", "a", b"x"), None);
    }

    #[test]
    fn malformed_keys_are_refused_without_being_shown() {
        for text in ["", "k1", "k1:abc", "k 1:AAAA", "k1:AAAA\nk1:AAAA"] {
            let error = Keyring::parse(text).unwrap_err().to_string();
            assert!(error.contains("base64") && (text.is_empty() || text.len() < 3 || !error.contains("AAAA")));
        }
    }

    #[test]
    fn the_key_file_is_private_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let first = Keyring::load_or_create(&path, &SeededEntropy::new(1)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Keyring::load_or_create(&path, &SeededEntropy::new(2)).unwrap();
        assert_eq!(first.mac("a", b"x"), again.mac("a", b"x"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Keyring::load_or_create(&path, &SeededEntropy::new(3)).unwrap_err().to_string().contains("chmod 600"));
    }
}
