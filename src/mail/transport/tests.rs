//! Tests of `transport.rs` against a scripted server: what each reply means, and that no attempt spoils the next.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::mpsc,
};

use super::*;

fn rendered(subject: &str) -> Rendered {
    Rendered { subject: subject.to_owned(), text: "Hello Zoë\n".to_owned(), html: "<p>Hello Zoë</p>".to_owned() }
}

fn outgoing<'a>(from: &'a str, to: &'a Email, rendered: &'a Rendered) -> Outgoing<'a> {
    Outgoing { from, to, rendered, message_id: "<0198.verify@id.acme.example>", date: DateTime::UNIX_EPOCH }
}

fn source(from: &str, to: &str, subject: &str) -> Result<String, SendFault> {
    let (to, rendered) = (Email::from_stored(to.to_owned()), rendered(subject));
    Ok(String::from_utf8(build(&outgoing(from, &to, &rendered))?.formatted()).unwrap())
}

#[test]
fn a_mail_has_the_headers_it_needs() {
    let mail = source("Acme <no-reply@acme.example>", "ada@example.com", "Grüße").unwrap();
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    for line in [
        "From: Acme <no-reply@acme.example>",
        "To: ada@example.com",
        "Date: Thu, 01 Jan 1970 00:00:00 +0000",
        "Message-ID: <0198.verify@id.acme.example>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(head.lines().any(|have| have == line), "{line} is missing:\n{head}");
    }
    assert!(head.contains("multipart/alternative") && body.find("text/plain") < body.find("text/html"), "{mail}");
}

#[test]
fn no_value_makes_a_header() {
    let (from, to) = ("Acme <no-reply@acme.example>", "ada@example.com");
    let mail = source(from, to, "Hi\r\nBcc: eve@evil.example\r\n\r\nbody").unwrap();
    assert!(!mail.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{mail}");
    for (from, to) in [
        ("Acme\r\nBcc: eve@evil.example <no-reply@acme.example>", to),
        ("Acme <no-reply@acme.example>\r\nBcc: eve@evil.example", to),
        ("Acme <a@acme.example>, Eve <eve@evil.example>", to),
        (from, "ada@example.com\r\nBcc: eve@evil.example"),
        (from, "ada@example.com, eve@evil.example"),
        (from, "ada@example.com> RCPT TO:<eve@evil.example"),
    ] {
        assert!(matches!(source(from, to, "Hi"), Err(SendFault::Permanent(_))), "{from:?} {to:?}");
    }
    let (to, rendered) = (Email::from_stored(to.to_owned()), rendered("Hi"));
    for message_id in ["x", "<x>", "<a@b>\r\nBcc: eve@evil.example", "<a @b>"] {
        assert!(build(&Outgoing { message_id, ..outgoing(from, &to, &rendered) }).is_err(), "{message_id:?}");
    }
}

/// A server that answers each command that begins with a word of `script` with its reply, and all else with 250; an empty
/// reply is none at all. Tells each command it got, and `connected` for each connection.
async fn server(script: &'static [(&'static str, &'static str)]) -> (SecretString, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = SecretString::from(format!("smtp://{}", listener.local_addr().unwrap()));
    let (heard, tell) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let heard = heard.clone();
            tokio::spawn(async move {
                let _ = heard.send("connected".to_owned());
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                let reply = |command: &str, usual: &'static str| script.iter().find(|(word, _)| command.starts_with(word)).map_or(usual, |(_, reply)| *reply);
                write.write_all(reply("greeting", "220 ready\r\n").as_bytes()).await?;
                let mut in_body = false;
                while let Some(line) = lines.next_line().await? {
                    let command = if !in_body {
                        line
                    } else if line == "." {
                        "body".to_owned()
                    } else {
                        continue;
                    };
                    in_body = command == "DATA";
                    let _ = heard.send(command.clone());
                    let usual = if in_body { "354 go on\r\n" } else { "250 2.0.0 fine\r\n" };
                    write.write_all(reply(&command, usual).as_bytes()).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    (url, tell)
}

async fn send(transport: &Transport) -> Result<(), SendFault> {
    let (to, rendered) = (Email::from_stored("ada@example.com".to_owned()), rendered("Hi"));
    transport.send(&outgoing("Acme <no-reply@acme.example>", &to, &rendered)).await
}

#[tokio::test]
async fn replies_become_verdicts_without_the_servers_words() {
    use SendFault::{Permanent, Temporary};
    let cases: [(&'static [(&str, &str)], SendFault); 6] = [
        (&[("RCPT", "550 5.1.1 <ada@example.com> unknown\r\n")], Permanent("reply 550 5.1.1".to_owned())),
        (&[("body", "554 ada@example.com is spam\r\n")], Permanent("reply 554".to_owned())),
        (&[("RCPT", "450-4.2.0 greylisted\r\n450 4.2.0 ada@example.com\r\n")], Temporary("reply 450 4.2.0".to_owned())),
        (&[("MAIL", "530 5.7.0 sign in first\r\n")], Temporary("reply 530 5.7.0".to_owned())),
        (&[("greeting", "554 5.3.2 closed\r\n")], Temporary("the mail server can't be used: reply 554 5.3.2".to_owned())),
        (&[("EHLO", "what?\r\n")], Temporary("the mail server can't be used: no reply of an SMTP server, or half of one".to_owned())),
    ];
    for (script, expected) in cases {
        let (url, _tell) = server(script).await;
        assert_eq!(send(&Transport::smtp(&url).unwrap()).await, Err(expected));
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let transport = Transport::smtp(&SecretString::from(format!("smtp://{nobody}"))).unwrap();
    assert_eq!(send(&transport).await, Err(Temporary("the mail server can't be used: no connection".to_owned())));
}

#[tokio::test]
async fn a_connection_serves_several_mails() {
    let (url, mut tell) = server(&[]).await;
    let transport = Transport::smtp(&url).unwrap();
    send(&transport).await.unwrap();
    send(&transport).await.unwrap();
    let mut heard = Vec::new();
    while let Ok(command) = tell.try_recv() {
        heard.push(command);
    }
    assert_eq!(heard.iter().filter(|command| *command == "connected").count(), 1);
    assert_eq!(heard.iter().filter(|command| *command == "body").count(), 2);
}

#[tokio::test]
async fn an_attempt_that_is_given_up_takes_its_connection_along() {
    let (url, mut tell) = server(&[("body", "")]).await;
    let Transport::Smtp(mut smtp) = Transport::smtp(&url).unwrap() else { panic!("no SMTP") };
    smtp.patience = Duration::from_millis(300);
    let transport = Transport::Smtp(smtp);
    for _ in 0..2 {
        assert_eq!(send(&transport).await, Err(SendFault::Temporary("the mail server took too long".to_owned())));
    }
    let mut connections = 0;
    while let Ok(command) = tell.try_recv() {
        connections += usize::from(command == "connected");
    }
    assert_eq!(connections, 2);
}

#[tokio::test]
async fn a_required_starttls_is_never_waived() {
    let (url, mut tell) = server(&[]).await;
    use secrecy::ExposeSecret as _;
    let url = SecretString::from(format!("{}?tls=required", url.expose_secret()));
    assert!(matches!(send(&Transport::smtp(&url).unwrap()).await, Err(SendFault::Temporary(_))));
    while let Ok(command) = tell.try_recv() {
        assert!(!command.starts_with("MAIL") && !command.starts_with("AUTH"), "{command}");
    }
}
