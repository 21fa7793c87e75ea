//! A mail server with moods, and what it was given. A mail counts as arrived once it was told "taken".

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::smtp::Received;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything.
    Well,
    /// 450 to the first attempt at each address (greylisting).
    Grey,
    /// 451 to every mail.
    Busy,
    /// 550 at every recipient.
    Strict,
    /// Says nothing for a minute once it has a mail.
    Slow,
    /// Hangs up in the middle of a mail.
    Rude,
}

struct Shared {
    mood: Mutex<Mood>,
    mails: Mutex<Vec<Received>>,
    known: Mutex<HashSet<String>>,
    attempts: AtomicUsize,
}

pub struct Smtp {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Smtp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { mood: Mutex::new(Mood::Well), mails: Mutex::default(), known: Mutex::default(), attempts: AtomicUsize::new(0) });
        let listening = Mutex::new(Some(listen(listener, Arc::clone(&shared))));
        Self { address, shared, listening }
    }

    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn feel(&self, mood: Mood) {
        *self.shared.mood.lock().expect("no panic") = mood;
    }

    /// Nobody listens any more; what is connected stays.
    pub fn down(&self) {
        if let Some(task) = self.listening.lock().expect("no panic").take() {
            task.abort();
        }
    }

    pub async fn up(&self) {
        let listener = TcpListener::bind(self.address).await.expect("its port is free");
        *self.listening.lock().expect("no panic") = Some(listen(listener, Arc::clone(&self.shared)));
    }

    /// Mails that were taken, in their order.
    pub fn mails(&self) -> Vec<Received> {
        self.shared.mails.lock().expect("no panic").clone()
    }

    pub fn to(&self, address: &str) -> Vec<Received> {
        self.mails().into_iter().filter(|mail| mail.to.iter().any(|to| to == address)).collect()
    }

    /// Mails that were offered, taken or not.
    pub fn attempts(&self) -> usize {
        self.shared.attempts.load(Ordering::Relaxed)
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.down();
    }
}

fn listen(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            // A client that hangs up ends its own conversation alone.
            tokio::spawn(async move { talk(stream, &shared).await.ok() });
        }
    })
}

async fn talk(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (read, mut out) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let empty = || Received { from: String::new(), to: Vec::new(), raw: String::new() };
    let mut mail = empty();
    out.write_all(b"220 moody.test\r\n").await?;
    let address = |line: &str| line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    while let Some(line) = lines.next_line().await? {
        let mood = *shared.mood.lock().expect("no panic");
        let reply = match line.split([' ', ':']).next().unwrap_or_default() {
            "MAIL" => {
                mail = Received { from: address(&line), ..empty() };
                "250 fine"
            }
            "RCPT" => {
                mail.to.push(address(&line));
                let first = shared.known.lock().expect("no panic").insert(address(&line));
                match mood {
                    Mood::Strict | Mood::Grey if mood == Mood::Strict || first => {
                        shared.attempts.fetch_add(1, Ordering::Relaxed);
                        if mood == Mood::Strict { "550 5.1.1 nobody here" } else { "450 4.7.1 come back later" }
                    }
                    _ => "250 fine",
                }
            }
            "DATA" => {
                shared.attempts.fetch_add(1, Ordering::Relaxed);
                out.write_all(b"354 go on\r\n").await?;
                loop {
                    // A line that ends before the mail does brings no mail.
                    let Some(line) = lines.next_line().await? else { return Ok(()) };
                    if line == "." {
                        break;
                    }
                    if mood == Mood::Rude {
                        return Ok(());
                    }
                    // RFC 5321 section 4.5.2.
                    mail.raw.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.raw.push_str("\r\n");
                }
                match mood {
                    Mood::Busy => "451 4.3.0 try again",
                    Mood::Slow => {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        return Ok(());
                    }
                    _ => {
                        // First kept, then said: what its client hears of is there.
                        shared.mails.lock().expect("no panic").push(mail.clone());
                        "250 taken"
                    }
                }
            }
            "QUIT" => return out.write_all(b"221 bye\r\n").await,
            _ => "250 moody.test",
        };
        out.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
    Ok(())
}
