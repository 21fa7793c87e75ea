//! Mails as a mail server gets them: from the real one that the runner starts, or from a small one in the test's process
//! that can be told to refuse; and what stands in them (RFC 5322, RFC 2045).

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// A mail on the wire.
#[derive(Clone, Debug)]
pub struct Received {
    pub from: String,
    pub to: Vec<String>,
    pub raw: String,
}

/// The real server of `TEST_SMTP_URL`, which writes each mail into `TEST_SMTP_DIR`.
pub struct RealServer {
    pub url: String,
    folder: PathBuf,
}

impl RealServer {
    /// `None` without the runner's two variables.
    #[expect(clippy::disallowed_methods, reason = "the runner hands the server's address over in the environment")]
    pub fn find() -> Option<Self> {
        Some(Self { url: std::env::var("TEST_SMTP_URL").ok()?, folder: std::env::var("TEST_SMTP_DIR").ok()?.into() })
    }

    /// Mails to one address, in the order in which they came. A mail is there once the server has said that it took it.
    pub fn mails(&self, to: &str) -> Vec<Received> {
        let files = std::fs::read_dir(&self.folder).expect("the folder of mails").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|ext| ext == "json")).collect();
        files.sort();
        let read = |path: PathBuf| -> Received {
            let json: Value = serde_json::from_slice(&std::fs::read(path).expect("a mail")).expect("JSON");
            let raw = STANDARD.decode(json["raw"].as_str().expect("raw bytes")).expect("base64");
            let to = json["rcptTos"].as_array().expect("recipients").iter().map(|to| to.as_str().expect("an address").to_owned()).collect();
            Received { from: json["mailFrom"].as_str().expect("a sender").to_owned(), to, raw: String::from_utf8(raw).expect("ASCII") }
        };
        files.into_iter().map(read).filter(|mail| mail.to.iter().any(|known| known == to)).collect()
    }
}

/// A mail server in the test's process: keeps every mail that it was offered and answers `verdict` to it.
pub struct Sink {
    pub url: String,
    mails: Arc<Mutex<Vec<Received>>>,
    verdict: Arc<Mutex<&'static str>>,
}

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let sink = Self { url, mails: Arc::default(), verdict: Arc::new(Mutex::new("250 taken")) };
        let (mails, verdict) = (Arc::clone(&sink.mails), Arc::clone(&sink.verdict));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mails, verdict) = (Arc::clone(&mails), Arc::clone(&verdict));
                // A client that hangs up ends its thread.
                std::thread::spawn(move || talk(stream, &mails, &verdict).ok());
            }
        });
        sink
    }

    /// What it answers to mails from now on.
    pub fn answer(&self, verdict: &'static str) {
        *self.verdict.lock().expect("no panic") = verdict;
    }

    pub fn mails(&self) -> Vec<Received> {
        self.mails.lock().expect("no panic").clone()
    }
}

fn talk(stream: TcpStream, mails: &Mutex<Vec<Received>>, verdict: &Mutex<&'static str>) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    let mut mail = Received { from: String::new(), to: Vec::new(), raw: String::new() };
    out.write_all(b"220 sink.test\r\n")?;
    let address = |line: &str| line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    while let Some(line) = lines.next().transpose()? {
        let reply = match line.split([' ', ':']).next().unwrap_or_default() {
            "MAIL" => {
                mail = Received { from: address(&line), to: Vec::new(), raw: String::new() };
                "250 fine"
            }
            "RCPT" => {
                mail.to.push(address(&line));
                "250 fine"
            }
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                for line in lines.by_ref() {
                    let line = line?;
                    if line == "." {
                        break;
                    }
                    // RFC 5321 section 4.5.2.
                    mail.raw.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.raw.push_str("\r\n");
                }
                mails.lock().expect("no panic").push(mail.clone());
                *verdict.lock().expect("no panic")
            }
            "QUIT" => return out.write_all(b"221 bye\r\n"),
            _ => "250 sink.test",
        };
        out.write_all(format!("{reply}\r\n").as_bytes())?;
    }
    Ok(())
}

impl Received {
    /// A header by its name, unfolded.
    pub fn header(&self, name: &str) -> String {
        header(&self.raw, name).unwrap_or_else(|| panic!("no {name} in {}", self.raw))
    }

    /// Media type and decoded content of each part.
    pub fn parts(&self) -> Vec<(String, String)> {
        let kind = self.header("content-type");
        let (_, rest) = kind.split_once("boundary=\"").expect("a boundary");
        let mark = format!("--{}", rest.split('"').next().unwrap_or_default());
        let mut pieces: Vec<_> = self.raw.split(&mark).skip(1).collect();
        assert!(pieces.pop().is_some_and(|end| end.starts_with("--")), "the last boundary is marked as such");
        pieces.into_iter().map(part).collect()
    }

    /// The text part with plain line ends.
    pub fn text(&self) -> String {
        let (kind, text) = self.parts().swap_remove(0);
        assert!(kind.starts_with("text/plain"), "{kind}");
        text.replace("\r\n", "\n")
    }

    /// The link that carries a token.
    pub fn link(&self) -> String {
        self.text().split_whitespace().find(|word| word.contains("?token=")).expect("a link").to_owned()
    }
}

fn header(raw: &str, name: &str) -> Option<String> {
    let (head, _) = raw.split_once("\r\n\r\n")?;
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let found = unfolded.lines().filter_map(|line| line.split_once(':')).find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned())
}

fn part(piece: &str) -> (String, String) {
    let piece = piece.strip_prefix("\r\n").expect("a line's end");
    let (_, body) = piece.split_once("\r\n\r\n").expect("a part's head");
    let bytes = match header(piece, "content-transfer-encoding").unwrap_or_default().as_str() {
        "base64" => STANDARD.decode(body.replace("\r\n", "")).expect("base64"),
        "quoted-printable" => unquoted(&body.replace("=\r\n", "")),
        "" | "7bit" | "8bit" => body.as_bytes().to_vec(),
        other => panic!("unknown encoding {other}"),
    };
    (header(piece, "content-type").expect("a media type"), String::from_utf8(bytes).expect("UTF-8"))
}

fn unquoted(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('=') {
        bytes.extend(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).expect("two hex digits"));
        rest = &after[2..];
    }
    bytes.extend(rest.as_bytes());
    bytes
}
