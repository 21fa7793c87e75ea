//! What holds of every text that a stranger can send to a parser of the domain, not only of the ones we thought of. The parsers
//! behind HTTP have theirs beside them.

use proptest::prelude::*;
use realmgate::{
    crypto::{
        entropy::SeededEntropy,
        signing::{self, AccessClaims, Expect, SigningKey, VerifyingKey},
    },
    domain::{
        clock::Entropy,
        email::Email,
        id::{AccountId, RealmId, SessionId},
        realm::{Realm, RealmSettings, RealmStatus, host_name},
        return_to::ReturnTo,
        text,
        token::{OpaqueToken, Purpose},
    },
};
use uuid::Uuid;

/// Every text: of any characters, of the ones that parsers trip over, and long.
fn anything() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,200}",
        "[\\x00-\\x7f]{0,80}",
        "[a-zA-Z0-9@._:/?#%+ \\[\\]-]{0,80}",
        "[\u{200b}\u{202e}\u{2028}\u{feff}\u{ff20}\u{3002}a@. ]{0,40}",
        "[A-Za-z0-9_-]{60,68}",
        "a{250,260}",
    ]
}

/// Entropy that gives the bytes it was made of.
struct Fixed([u8; 32]);

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0[..bytes.len()]);
    }
}

/// A realm that lets browsers return to this one address.
fn returning_to(uri: &str) -> Realm {
    Realm {
        id: RealmId(Uuid::nil()),
        account_id: AccountId(Uuid::nil()),
        name: "localhost".to_owned(),
        status: RealmStatus::Active,
        settings: RealmSettings { allowed_redirect_uris: vec![uri.to_owned()], ..RealmSettings::default() },
        created_at: chrono::DateTime::UNIX_EPOCH,
    }
}

/// What leads away, if anything does: tricks with slashes, names, schemes and escapes.
fn place() -> impl Strategy<Value = String> {
    prop_oneof![anything(), "/ui/[a-z./%?#&=@:\\\\2eEfF]{0,40}", "(/|//|/\\\\|https?:|https?://|javascript:|data:)[a-z.@:/\\\\]{0,30}(/ui/[a-z]{0,5})?"]
}

const EXPECT: Expect<'_> = Expect { issuer: "https://id.example/realms/a", audience: "https://id.example/api", now: 1_000, leeway: 5 };

fn signed() -> (String, VerifyingKey) {
    let key = SigningKey::generate(&SeededEntropy::new(1)).unwrap();
    let text = str::to_owned;
    let (iss, aud) = (text(EXPECT.issuer), text(EXPECT.audience));
    let claims = AccessClaims {
        iss,
        aud,
        sub: text("u"),
        sid: text("s"),
        jti: text("j"),
        iat: 1_000,
        exp: 1_900,
        scope: text("openid"),
        amr: vec![],
        auth_time: 1_000,
        ver: 1,
    };
    (key.sign(&claims).unwrap(), VerifyingKey::from_jwk(key.public_jwk()).unwrap())
}

fn is_one_visible_line(line: &str) -> bool {
    !line.is_empty() && line.trim() == line && !line.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}'))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_address_has_one_form(text in anything()) {
        if let Ok(email) = Email::parse("email", &text) {
            prop_assert!(email.as_str().len() <= 254 && email.as_str().bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()));
            prop_assert_eq!(Email::parse("email", email.as_str()).unwrap(), email.clone());
            prop_assert_eq!(Email::parse("email", &format!(" {}\r\n", email.as_str().to_ascii_uppercase())).unwrap(), email);
        }
    }

    #[test]
    fn a_token_has_one_spelling(text in anything()) {
        if let Some(token) = OpaqueToken::parse(&text) {
            prop_assert_eq!(token.reveal(), text);
        }
    }

    #[test]
    fn a_token_survives_its_mail_and_shows_no_secret(id: u128, secret: [u8; 32]) {
        let token = OpaqueToken::mint(Uuid::from_u128(id), &Fixed(secret));
        let text = token.reveal();
        let read = OpaqueToken::parse(&text).unwrap();
        prop_assert_eq!((read.id, *read.secret()), (token.id, secret));
        let (shown, bytes) = (format!("{token:?}"), format!("{secret:?}"));
        prop_assert!(!shown.contains(&text[22..]) && !shown.contains(&bytes));
        for shorter in 0..text.len() {
            prop_assert!(OpaqueToken::parse(&text[..shorter]).is_none());
        }
    }

    #[test]
    fn a_purpose_is_its_own_word_alone(text in anything()) {
        prop_assert!(Purpose::parse(&text).is_none_or(|purpose| purpose.as_str() == text));
    }

    #[test]
    fn an_id_has_one_spelling(id: u128, text in anything()) {
        let uuid = Uuid::from_u128(id);
        prop_assert_eq!(uuid.to_string().parse::<SessionId>().unwrap().0, uuid);
        prop_assert!(text.parse::<SessionId>().is_err());
        for other in [uuid.simple().to_string(), uuid.urn().to_string(), uuid.braced().to_string(), format!(" {uuid}")] {
            prop_assert!(other.parse::<SessionId>().is_err());
        }
    }

    #[test]
    fn a_realm_name_has_one_form(text in anything()) {
        if let Ok(name) = host_name("name", &text) {
            prop_assert!((1..=253).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)));
            prop_assert!(name.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')));
            prop_assert_eq!(host_name("name", &name).unwrap(), name);
        }
    }

    #[test]
    fn a_browser_is_led_to_our_pages_or_where_the_realm_allows(text in place(), allowed in place()) {
        let realm = returning_to(&allowed);
        let base = url::Url::parse("https://id.example/ui/sign-in").unwrap();
        for text in [&text, &allowed] {
            let Some(place) = ReturnTo::parse(&realm, text) else { continue };
            let followed = base.join(place.href()).unwrap();
            match place.source() {
                None => prop_assert!(followed.origin() == base.origin() && followed.path().starts_with("/ui/"), "{} leads to {}", text, followed),
                Some(_) => prop_assert!(*text == allowed && !matches!(followed.scheme(), "javascript" | "data" | "file" | "blob"), "{}", text),
            }
        }
    }

    #[test]
    fn a_token_that_we_did_not_sign_proves_nothing(text in anything(), at: u16, change in 1..=255_u8) {
        let (token, key) = signed();
        prop_assert!(signing::decode(&token, &key, &EXPECT).is_ok());
        let parts: Vec<_> = token.split('.').collect();
        let mut other = token.clone().into_bytes();
        let at = usize::from(at) % other.len();
        other[at] ^= change;
        let foreign = [
            text.clone(),
            format!("{text}.{}.{}", parts[1], parts[2]),
            format!("{}.{text}.{}", parts[0], parts[2]),
            format!("{}.{}.{text}", parts[0], parts[1]),
            format!("{token}.{text}"),
            String::from_utf8_lossy(&other).into_owned(),
        ];
        for foreign in foreign {
            let _ = signing::peek(&foreign);
            prop_assert!(signing::decode(&foreign, &key, &EXPECT).is_err(), "{}", foreign);
        }
    }

    #[test]
    fn a_line_of_text_stays_one_line(text in anything()) {
        if let Ok(name) = text::name("name", &text) {
            prop_assert!(is_one_visible_line(&name) && name.chars().count() <= 100, "{:?}", name);
            prop_assert_eq!(text::name("name", &name).unwrap(), name);
        }
        if let Ok(Some(phone)) = text::phone("phone", Some(&text)) {
            prop_assert!(phone.len() <= 32 && phone.bytes().all(|b| b.is_ascii_digit() || b" +()-".contains(&b)));
            prop_assert_eq!(text::phone("phone", Some(&phone)).unwrap(), Some(phone));
        }
    }
}
