//! Addresses, names and numbers of people: one canonical form, one visible line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use realmgate::domain::{email::Email, text};

fuzz_target!(|typed: &str| {
    if let Ok(email) = Email::parse("email", typed) {
        let canonical = email.as_str();
        assert!(canonical.len() <= 254 && canonical.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()), "{canonical:?}");
        assert_eq!(canonical.matches('@').count(), 1);
        assert_eq!(Email::parse("email", canonical).expect("the canonical form is an address"), email);
        let shouted = format!(" {}\r\n", canonical.to_ascii_uppercase());
        assert_eq!(Email::parse("email", &shouted).expect("so is its upper case"), email);
        for glued in [format!("{typed},{typed}"), format!("<{typed}>"), format!("{typed}\nBcc: {typed}"), format!("{typed}@{typed}")] {
            assert!(Email::parse("email", &glued).is_err(), "{glued:?} is more than one address");
        }
    }
    if let Ok(name) = text::name("name", typed) {
        assert!(!name.is_empty() && name.trim() == name && name.chars().count() <= 100 && !name.chars().any(char::is_control), "{name:?}");
        assert_eq!(text::name("name", &name).expect("a name is a name"), name);
    }
    if let Ok(Some(phone)) = text::phone("phone", Some(typed)) {
        assert!(phone.len() <= 32 && phone.bytes().all(|b| b.is_ascii_digit() || b" +()-".contains(&b)));
        assert_eq!(text::phone("phone", Some(&phone)).expect("a number is a number"), Some(phone));
    }
});
