//! The real program as a child process with a folder of its own: started on a free port, asked over HTTP, ended by a
//! signal, its log kept to be read.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::PASSWORD;

/// How often something is looked at again, and how long at most.
const STEP: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until `look` answers something, and says after how long; panics when patience ends.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> (T, Duration) {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(found) = look().await {
            return (found, started.elapsed());
        }
        tokio::time::sleep(STEP).await;
    }
    panic!("{what}: not within {PATIENCE:?}");
}

/// The program with the settings of tests: data in `folder`, cheap hashes.
pub fn program(folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realmgate"));
    command.current_dir(folder).stdin(Stdio::null());
    command.env("REALMGATE_DATA_DIR", folder).env("REALMGATE_LISTEN", "127.0.0.1:0").env("REALMGATE_PUBLIC_URL", "http://localhost:8080");
    command.env("REALMGATE_HASH_MEMORY_KIB", "64").env("REALMGATE_HASH_ITERATIONS", "1");
    // Tests of other things ask more than a stranger may.
    for limit in ["ADDRESS", "SIGN_IN", "SIGN_UP", "MAIL", "MAILED_TOKEN", "WRONG_TOKEN"] {
        command.env(format!("REALMGATE_LIMIT_{limit}"), "1000000");
    }
    for (name, value) in settings {
        command.env(format!("REALMGATE_{name}"), value);
    }
    command
}

/// A running server.
pub struct Server {
    child: Child,
    /// Its address, `http://127.0.0.1:<port>`.
    pub url: String,
    pub out: PathBuf,
    pub err: PathBuf,
    pub http: reqwest::Client,
}

impl Server {
    /// Starts it and waits until it is ready. Each start has logs of its own, named by `name`.
    pub async fn start(folder: &Path, name: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = program(folder, settings);
        command.arg("serve");
        Self::spawn(folder, name, command).await
    }

    /// The same with a command of one's own.
    pub async fn spawn(folder: &Path, name: &str, mut command: Command) -> Self {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        command.stdout(File::create(&out).expect("a log")).stderr(File::create(&err).expect("a log"));
        // A free account may call a hundred times a minute, and tests of other things ask more.
        let mut raise = Command::new(env!("CARGO_BIN_EXE_realmgate"));
        raise.args(["plan", "set", "free", "--requests-per-minute", "1000000"]).current_dir(folder);
        raise.envs(command.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        let raised = raise.output().expect("the program runs");
        assert!(raised.status.success(), "{}", String::from_utf8_lossy(&raised.stderr));
        let mut child = command.spawn().expect("the program starts");
        let (port, _) = eventually("the server listens", async || {
            let text = std::fs::read_to_string(&err).expect("a log");
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("it ended: {status}: {text}");
            }
            let (_, rest) = text.split_once("(listening on 127.0.0.1:")?;
            rest.split_once(')').map(|(port, _)| port.to_owned())
        })
        .await;
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), out, err, http: reqwest::Client::new() };
        eventually("the server is ready", async || server.get("/healthz/ready", "").await.ok().filter(|reply| reply.status() == 200)).await;
        server
    }

    pub async fn get(&self, path: &str, bearer: &str) -> reqwest::Result<reqwest::Response> {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(bearer).send().await
    }

    pub async fn status(&self, path: &str, bearer: &str) -> u16 {
        self.get(path, bearer).await.expect("a reply").status().as_u16()
    }

    /// Posts JSON; status and body, `null` if there is none.
    pub async fn post(&self, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        let mut request = self.http.post(format!("{}{path}", self.url)).json(body);
        if !bearer.is_empty() {
            request = request.bearer_auth(bearer);
        }
        let reply = request.send().await.expect("a reply");
        let status = reply.status().as_u16();
        (status, serde_json::from_slice(&reply.bytes().await.expect("a body")).unwrap_or(Value::Null))
    }

    /// The text of the newest mail to `to`, once there are `count`.
    pub async fn mail(&self, to: &str, count: usize) -> String {
        let look = async || {
            let reply = self.get(&format!("/dev/mailbox/messages?to={to}"), "").await.expect("a reply");
            let mails: Value = reply.json().await.expect("JSON");
            let items = mails["items"].as_array().expect("mails").clone();
            (items.len() >= count).then(|| items[0]["text"].as_str().expect("a text").to_owned())
        };
        eventually("a mail", look).await.0
    }

    /// Signs up, verifies by the mailed link and signs in.
    pub async fn user(&self, email: &str) -> Tokens {
        let body = json!({ "name": "Test Person", "email": email, "password": PASSWORD });
        assert_eq!(self.post("/api/v1/auth/signup", "", &body).await.0, 202);
        let token = token_of(&self.mail(email, 1).await);
        assert_eq!(self.post("/api/v1/auth/verify-email", "", &json!({ "token": token })).await.0, 200);
        self.log_in(email).await
    }

    pub async fn log_in(&self, email: &str) -> Tokens {
        let (status, body) = self.post("/api/v1/auth/login", "", &json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(status, 200, "{body}");
        Tokens::of(&body["tokens"])
    }

    pub async fn refresh(&self, token: &str) -> (u16, Value) {
        self.post("/api/v1/auth/refresh", "", &json!({ "refreshToken": token })).await
    }

    /// Asks it to stop, as systems do.
    pub fn terminate(&self) {
        let done = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(done.success());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the server ends", async || child.try_wait().expect("a child")).await.0
    }

    /// Stops it and answers its standard output.
    pub async fn stop(mut self) -> String {
        self.terminate();
        let status = self.ended().await;
        let log = std::fs::read_to_string(&self.out).expect("a log");
        let last: Vec<_> = log.lines().rev().filter(|line| !line.contains("\"INFO\"")).take(5).collect();
        assert!(status.success(), "{status}: {last:#?}");
        log
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("a running child");
        self.child.wait().expect("its end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed leaves nothing running; one that ended well has no child any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a sign-in brings.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Tokens {
    pub fn of(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned();
        Self { access: text("accessToken"), refresh: text("refreshToken") }
    }
}

/// The token of the link in a mail.
pub fn token_of(text: &str) -> String {
    let (_, rest) = text.split_once("token=").expect("a link with a token");
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}
