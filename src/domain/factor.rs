//! Second factors: what there is, what a realm asks for, and how recovery codes are spelt. Rules alone, no state.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::clock::Entropy;

/// How long a sign-in waits for its second factor.
pub const CHALLENGE_LIFE: TimeDelta = TimeDelta::minutes(5);
/// Wrong answers to one waiting sign-in before it is over.
pub const CHALLENGE_TRIES: i32 = 5;
/// How long an enrolment that was begun waits for its proof.
pub const ENROLMENT_LIFE: TimeDelta = TimeDelta::minutes(10);
/// Recovery codes that a person gets at a time.
pub const RECOVERY_CODES: usize = 10;
/// Passkeys a person may have.
pub const PASSKEYS_AT_MOST: u64 = 20;

/// A way to prove who one is. The word is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Password,
    /// A time-based one-time password (RFC 6238).
    Totp,
    /// A WebAuthn credential.
    Passkey,
    /// One of the codes to keep in a drawer.
    RecoveryCode,
}

impl Method {
    /// The public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Passkey => "passkey",
            Self::RecoveryCode => "recovery_code",
        }
    }

    /// The method of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Password, Self::Totp, Self::Passkey, Self::RecoveryCode].into_iter().find(|method| method.as_str() == word)
    }

    /// What it is called in a token's `amr` (RFC 8176 section 2).
    #[must_use]
    pub fn amr(self) -> &'static str {
        match self {
            Self::Password => "pwd",
            Self::Totp | Self::RecoveryCode => "otp",
            Self::Passkey => "pop",
        }
    }
}

/// `amr` of somebody who proved themselves by `first` and then by a second factor.
#[must_use]
pub fn amr_with(first: &str, second: Method) -> String {
    let mut words: Vec<&str> = first.split(' ').filter(|word| !word.is_empty() && *word != "mfa").collect();
    if !words.contains(&second.amr()) {
        words.push(second.amr());
    }
    words.push("mfa");
    words.join(" ")
}

/// Whether `amr` tells of two factors.
#[must_use]
pub fn is_multi(amr: &[String]) -> bool {
    amr.iter().any(|word| word == "mfa")
}

/// Whether a realm's people have second factors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MfaPolicy {
    /// None can be added, and none is asked for.
    Off,
    /// Whoever has one is asked for it.
    #[default]
    Optional,
    /// Nobody is in without one: whoever has none adds one at their next sign-in.
    Required,
}

/// Whether a passkey must check its person (fingerprint, PIN) where it is a second factor. Where it is the only proof it
/// always must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserVerification {
    #[default]
    Required,
    Preferred,
}

/// What a person has. Enrolments that were begun and not finished are not among it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    pub totp: bool,
    pub passkeys: u64,
    /// Recovery codes that are not used yet. They help out and are no factor by themselves.
    pub recovery_codes: u64,
}

impl Factors {
    /// Whether there is any to ask for.
    #[must_use]
    pub fn any(&self) -> bool {
        self.totp || self.passkeys > 0
    }

    /// The ways to show one.
    #[must_use]
    pub fn methods(&self) -> Vec<Method> {
        let all = [(self.totp, Method::Totp), (self.passkeys > 0, Method::Passkey), (self.any() && self.recovery_codes > 0, Method::RecoveryCode)];
        all.into_iter().filter_map(|(has, method)| has.then_some(method)).collect()
    }
}

/// RFC 4648 base32 in lower case: no digit looks like one of its letters but 0 and 1, which it lacks.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Letters of a recovery code: 80 bits.
const CODE: usize = 16;

/// A recovery code as its person keeps it: `abcd-efgh-ijkl-mnop`.
#[must_use]
pub fn mint_recovery_code(entropy: &dyn Entropy) -> String {
    let mut random = [0; CODE];
    entropy.fill(&mut random);
    let letters: Vec<char> = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    letters.chunks(4).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// The one spelling of a code as somebody typed it: case, blanks and hyphens don't count, 0 is an o and 1 an l. `None` for
/// what can't be one.
#[must_use]
pub fn read_recovery_code(typed: &str) -> Option<String> {
    let letter = |c: char| match c.to_ascii_lowercase() {
        '0' => 'o',
        '1' => 'l',
        other => other,
    };
    let code: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(CODE + 1).map(letter).collect();
    (code.len() == CODE && code.bytes().all(|b| LETTERS.contains(&b))).then_some(code)
}

/// The digits of a one-time password as somebody typed it, without blanks; `None` for what can't be one.
#[must_use]
pub fn read_totp_code(typed: &str) -> Option<String> {
    let code: String = typed.chars().filter(|c| !c.is_whitespace()).take(7).collect();
    (code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit())).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    #[test]
    fn codes_are_read_however_they_are_typed() {
        let code = mint_recovery_code(&Counting(0.into()));
        assert_eq!(code, "abcd-efgh-ijkl-mnop");
        let read = Some("abcdefghijklmnop".to_owned());
        for typed in [code.as_str(), "ABCD EFGH IJKL MNOP", "abcdefghijk1mn0p", " abcd-efgh- ijkl-mnop\n"] {
            assert_eq!(read_recovery_code(typed), read, "{typed}");
        }
        for typed in ["", "abcd", "abcd-efgh-ijkl-mnopq", "abcd-efgh-ijkl-mno8", "äbcd-efgh-ijkl-mno", "abcd-efgh-ijkl-mnö"] {
            assert_eq!(read_recovery_code(typed), None, "{typed}");
        }
        assert_eq!(read_totp_code("123 456").as_deref(), Some("123456"));
        for typed in ["12345", "1234567", "12345a", "١٢٣٤٥٦", ""] {
            assert_eq!(read_totp_code(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_second_factor_is_told_beside_the_first() {
        assert_eq!(amr_with("pwd", Method::Totp), "pwd otp mfa");
        assert_eq!(amr_with("pwd otp mfa", Method::RecoveryCode), "pwd otp mfa");
        assert_eq!(amr_with("", Method::Passkey), "pop mfa");
    }

    #[test]
    fn recovery_codes_alone_are_no_factor() {
        let none = Factors { recovery_codes: 3, ..Factors::default() };
        assert!(!none.any() && none.methods().is_empty());
        let totp = Factors { totp: true, ..none };
        assert_eq!(totp.methods(), [Method::Totp, Method::RecoveryCode]);
    }
}
