//! Puts a [`Message`] into words: subject, text and HTML, from the templates embedded in the binary.
//!
//! Neighbours are `message.rs` (what may be said) and `templates/email/`. Values are never compiled as templates, an
//! unknown variable is an error, and what ends up in a header is one line. Nothing here knows addresses or transports.

use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value, context, escape_formatter};

use super::{message::Message, plain, speak};
use crate::domain::{Error, Result, language::Language};

/// A mail as its reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// One line without control characters.
    pub subject: String,
    /// The `text/plain` part, lines ended by LF.
    pub text: String,
    /// The `text/html` part, a whole document without outside assets.
    pub html: String,
}

/// The three parts of one message. They hold structure and no sentence; those are in `templates/words/`.
macro_rules! parts {
    ($folder:literal) => {
        [
            (concat!($folder, "/subject.txt"), include_str!(concat!("../../templates/email/", $folder, "/subject.txt"))),
            (concat!($folder, "/body.txt"), include_str!(concat!("../../templates/email/", $folder, "/body.txt"))),
            (concat!($folder, "/body.html"), include_str!(concat!("../../templates/email/", $folder, "/body.html"))),
        ]
    };
}

const SHARED: [(&str, &str); 2] =
    [("layout.html", include_str!("../../templates/email/layout.html")), ("parts.html", include_str!("../../templates/email/parts.html"))];

const TEMPLATES: [[(&str, &str); 3]; 17] = [
    parts!("verify_email"),
    parts!("account_exists"),
    parts!("reset_password"),
    parts!("password_changed"),
    parts!("unlock_sign_in"),
    parts!("refresh_reuse"),
    parts!("api_key_leaked"),
    parts!("invitation"),
    parts!("member_removed"),
    parts!("role_changed"),
    parts!("change_email"),
    parts!("email_changed"),
    parts!("new_device"),
    parts!("session_evicted"),
    parts!("endless_token"),
    parts!("magic_link"),
    parts!("factor_changed"),
];

/// The templates, once a language; made once, shared by all.
#[derive(Debug)]
pub struct Renderer(Vec<(Language, Environment<'static>)>);

impl Default for Renderer {
    fn default() -> Self {
        Self(Language::ALL.into_iter().map(|language| (language, environment(language))).collect())
    }
}

impl Renderer {
    fn environment(&self, language: Language) -> Result<&Environment<'static>> {
        let found = self.0.iter().find(|(known, _)| *known == language);
        found.map(|(_, environment)| environment).ok_or_else(|| Error::internal("a language without templates"))
    }

    /// The mail in `language`.
    ///
    /// # Errors
    /// [`Error::Internal`] if a template is malformed or asks for what its message lacks, which the tests of this file rule out.
    pub fn render(&self, language: Language, message: &Message) -> Result<Rendered> {
        let (environment, folder) = (self.environment(language)?, message.folder());
        let part = |file: &str, values: &Value| {
            let template = environment.get_template(&format!("{folder}/{file}"));
            template.and_then(|template| template.render(values.clone())).map_err(Error::internal)
        };
        let values = message.context();
        let subject = plain::line(&part("subject.txt", &values)?);
        let text = format!("{}\n", part("body.txt", &values)?.trim_end());
        let html = part("body.html", &context! { subject => subject.as_str(), ..values })?;
        Ok(Rendered { subject, text, html })
    }
}

fn environment(language: Language) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    environment.set_formatter(write_value);
    speak::load_from(&mut environment, |name| TEMPLATES.iter().flatten().chain(&SHARED).find(|(known, _)| *known == name).map(|(_, source)| *source));
    speak::teach(&mut environment, language);
    environment
}

/// Writes a value as the engine would, except that `/` is left alone: addresses spelt with entities are what spam filters
/// look for. All five characters that HTML gives a meaning in text and in quoted attributes are escaped.
fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let text = match (state.auto_escape(), value.as_str()) {
        (AutoEscape::Html, Some(text)) if !value.is_safe() => text,
        _ => return escape_formatter(out, state, value),
    };
    for piece in text.split_inclusive(['&', '<', '>', '"', '\'']) {
        let end = piece.len() - usize::from(piece.ends_with(['&', '<', '>', '"', '\'']));
        let escaped = match &piece[end..] {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "\"" => "&quot;",
            "'" => "&#39;",
            _ => "",
        };
        out.write_str(&piece[..end]).and_then(|()| out.write_str(escaped)).map_err(|_| minijinja::Error::new(ErrorKind::WriteFailure, "out of memory"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_in(language: Language, messages: Vec<Message>) -> Vec<Rendered> {
        let renderer = Renderer::default();
        messages.iter().map(|message| renderer.render(language, message).unwrap()).collect()
    }

    fn all(messages: Vec<Message>) -> Vec<Rendered> {
        all_in(Language::English, messages)
    }

    #[test]
    fn every_message_has_its_three_parts() {
        let folders: Vec<_> = Message::samples().iter().map(Message::folder).collect();
        assert_eq!(folders.len(), TEMPLATES.len());
        for mail in all(Message::samples()) {
            assert!(mail.subject.contains("Acme") && mail.subject.len() < 70, "{}", mail.subject);
            assert!(mail.text.contains("Ada Lovelace") && mail.text.contains("You get this mail because"), "{}", mail.text);
            assert!(mail.text.lines().all(|line| line.trim_end() == line), "{}", mail.text);
            assert!(!mail.text.contains("\n\n\n") && !mail.text.contains('\r') && mail.text.ends_with(".\n"), "{}", mail.text);
            assert!(mail.html.starts_with("<!doctype html>\n<html lang=\"en\"") && mail.html.contains("You get this mail because"), "{}", mail.html);
        }
    }

    #[test]
    fn links_stand_alone_in_the_text_and_unspoilt_in_the_html() {
        for (message, mail) in Message::samples().into_iter().zip(all(Message::samples())) {
            let (Message::VerifyEmail { link, .. }
            | Message::ResetPassword { link, .. }
            | Message::ChangeEmail { link, .. }
            | Message::EmailChanged { link, .. }
            | Message::Invitation { link, .. }) = message
            else {
                continue;
            };
            assert_eq!(mail.text.lines().filter(|line| *line == link).count(), 1);
            assert!(mail.html.contains(&format!("href=\"{link}\"")));
        }
    }

    #[test]
    fn optional_facts_may_be_missing() {
        let (name, realm) = ("Ada".to_owned(), "Acme".to_owned());
        for mail in all(vec![
            Message::AccountExists { name: name.clone(), realm: realm.clone(), sign_in_link: None, forgot_link: None },
            Message::ResetPassword { name: name.clone(), realm: realm.clone(), link: "https://x/".to_owned(), minutes: 1, ip: None },
            Message::PasswordChanged { name: name.clone(), realm: realm.clone(), at: "now".to_owned(), ip: None, forgot_link: None },
            Message::RefreshReuse { name, realm: realm.clone(), device: "curl".to_owned(), forgot_link: None },
            Message::Invitation { inviter: None, realm, account: "Engines".to_owned(), role: "owner", link: "https://x/".to_owned(), until: "then".to_owned() },
        ]) {
            assert!(!mail.text.to_lowercase().contains("none") && !mail.text.contains("\n\n\n"), "{}", mail.text);
            assert!(!mail.text.contains("1 minutes"), "{}", mail.text);
        }
    }

    #[test]
    fn foreign_text_makes_no_links_headers_markup_or_code() {
        let evil = "<script>x</script>\r\nBcc: a@b.example\n{{7*7}} http://evil.example www.evil.example \" onclick='x'";
        for (mail, plain) in all(Message::samples_for(evil, evil, evil)).iter().zip(all(Message::samples())) {
            assert!(!mail.subject.contains(['\r', '\n']));
            assert_eq!(mail.text.lines().count(), plain.text.lines().count(), "{}", mail.text);
            assert!(!mail.html.contains("<script") && !mail.html.contains("onclick='"), "{}", mail.html);
            for part in [&mail.subject, &mail.text, &mail.html] {
                assert!(part.contains("{{7*7}}") && !part.contains("49") && !part.contains("evil.example"), "{part}");
            }
            assert_eq!(mail.html.matches("href=").count(), plain.html.matches("href=").count());
        }
    }

    #[test]
    fn every_language_has_the_same_mails_in_its_own_words() {
        for language in Language::ALL {
            for ((message, mail), english) in Message::samples().iter().zip(all_in(language, Message::samples())).zip(all(Message::samples())) {
                assert!(mail.html.contains(&format!("<html lang=\"{}\"", language.tag())), "{}", mail.html);
                assert!(mail.subject.contains("Acme") && mail.text.contains("Ada Lovelace") && mail.text.ends_with(".\n"), "{}", mail.text);
                assert_eq!(mail.text.lines().count(), english.text.lines().count(), "{}", mail.text);
                assert_eq!(mail.html.matches('<').count(), english.html.matches('<').count(), "{}", message.folder());
                assert_eq!(mail.subject == english.subject, language == Language::English, "{}", mail.subject);
                for line in english.text.lines().filter(|line| line.split(' ').filter(|word| word.chars().all(char::is_alphabetic)).count() > 3) {
                    assert_eq!(mail.text.contains(line), language == Language::English, "{line}");
                }
            }
        }
    }
}
