//! The program as an operator runs it: in a data folder of its own, with none of the caller's environment.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A value that must never be printed.
pub const SECRET: &str = "hunter2canary";
pub const KEY: &str = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

pub struct Output {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Output {
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        assert!(!self.out.contains(SECRET) && !self.err.contains(SECRET), "a secret is shown: {}{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}{}", self.out, self.err))
    }

    /// Fails with `code` and one sentence for people that holds all `words`.
    #[track_caller]
    pub fn complains(self, code: i32, words: &[&str]) -> Self {
        let output = self.code(code);
        assert!(output.err.starts_with("error: "), "{}", output.err);
        for word in words {
            assert!(output.err.contains(word), "no `{word}` in {}", output.err);
        }
        output
    }
}

/// An operator's shell in a folder.
pub struct Shell {
    pub folder: TempDir,
    pub env: Vec<(&'static str, String)>,
}

impl Shell {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), env: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_realmgate"));
        command.args(args).current_dir(self.folder.path()).env_clear();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.feed(args, "")
    }

    pub fn feed(&self, args: &[&str], input: &str) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        // A command that reads nothing may be gone before this arrives.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Output { code: output.status.code().unwrap(), out: String::from_utf8(output.stdout).unwrap(), err: String::from_utf8(output.stderr).unwrap() }
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }
}

/// The members of the first item, sorted.
pub fn members(value: &Value) -> Vec<&str> {
    let mut members: Vec<&str> = value["items"][0].as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    members
}
