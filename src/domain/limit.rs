//! Limits: which rules there are, what one of them counts, and how much of it is left.

use std::net::IpAddr;

use super::id::AccountId;

/// A rule. Its word is public: replies name the rule that they speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// All calls of an account, whatever the credential; its plan says how many a minute.
    Account,
    /// The calls of one API key that has a limit of its own.
    ApiKey,
    /// Calls without a good credential, of one client address.
    Address,
    /// Attempts to sign in, of one client address.
    SignIn,
    /// Sign-ups, of one client address.
    SignUp,
    /// Mails asked for without a credential, of one client address.
    Mail,
    /// Mailed tokens and codes shown, of one client address.
    MailedToken,
}

impl Rule {
    /// The public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::ApiKey => "api_key",
            Self::Address => "address",
            Self::SignIn => "sign_in",
            Self::SignUp => "sign_up",
            Self::Mail => "mail",
            Self::MailedToken => "mailed_token",
        }
    }

    /// The seconds that its limit is for: never more than the limit in any span of that length.
    #[must_use]
    pub fn window(self) -> u32 {
        match self {
            Self::SignUp | Self::Mail => 3_600,
            Self::Account | Self::ApiKey | Self::Address | Self::SignIn | Self::MailedToken => 60,
        }
    }
}

/// Whose calls are counted together, under which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub rule: Rule,
    pub subject: [u8; 16],
}

impl Key {
    /// All calls of an account.
    #[must_use]
    pub fn account(id: AccountId) -> Self {
        Self { rule: Rule::Account, subject: *id.0.as_bytes() }
    }

    /// The calls of a client address under `rule`. Of IPv6 the network of 64 bits counts: whoever has one address there
    /// has all of them.
    #[must_use]
    pub fn address(rule: Rule, ip: IpAddr) -> Self {
        let bits = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits() & !u128::from(u64::MAX),
        };
        Self { rule, subject: bits.to_be_bytes() }
    }
}

/// A question to the limiter: how many units `key` may use in its rule's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub key: Key,
    pub limit: u32,
}

/// How a key stands with its limit after a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub rule: Rule,
    pub limit: u32,
    /// Units that are left at this moment.
    pub remaining: u32,
    /// Milliseconds until something changes: until the oldest counted units are free again, or, on a refusal, until as
    /// many are free as were asked for. 0 if nothing is counted.
    pub free_in: u64,
    /// Whether the units asked for were there.
    pub admitted: bool,
}

impl Standing {
    /// [`Standing::free_in`] in whole seconds, rounded up: when a client may count on it.
    #[must_use]
    pub fn free_in_seconds(&self) -> u64 {
        self.free_in.div_ceil(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_itself_and_of_ipv6_its_network() {
        let key = |ip: &str| Key::address(Rule::Address, ip.parse().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"), "one client, whichever socket it came through");
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_ne!(key("192.0.2.1"), Key::address(Rule::SignIn, "192.0.2.1".parse().unwrap()));
    }
}
