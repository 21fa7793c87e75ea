//! Child processes and what Linux tells about them in `/proc`: processor time and memory.
//!
//! Every measured program is a process of its own, so that none pays for another's work. Knows nothing of HTTP beyond
//! the bytes of one question, "are you ready?".

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Outcome;

/// How long a program may take to start before the run fails.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two questions whether a program is ready; also the precision of the start-up time.
const POLL: Duration = Duration::from_millis(2);

/// A started program; it is killed when this is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    name: &'static str,
    log: PathBuf,
    started: Instant,
}

impl Child {
    /// Starts `command` with its output in `log`. Its standard input stays open for as long as this program lives.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Outcome<Self> {
        let output = fs::File::create(log)?;
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        let started = Instant::now();
        let process = command.spawn().map_err(|fault| format!("{name} can't be started: {fault}"))?;
        Ok(Self { process, name, log: log.to_owned(), started })
    }

    /// Asks until `GET path` answers 200; how long that was after the start.
    pub(crate) fn wait_ready(&mut self, addr: SocketAddr, path: &str) -> Outcome<Duration> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
        loop {
            if answers_ok(addr, request.as_bytes()) {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("{} ended ({status}) before GET {path} answered 200:\n{}", self.name, self.log_tail()).into());
            }
            if self.started.elapsed() > START_LIMIT {
                return Err(format!("{} did not answer GET {path} with 200 within {START_LIMIT:?}:\n{}", self.name, self.log_tail()).into());
            }
            thread::sleep(POLL);
        }
    }

    /// Asks the program to end (SIGTERM) and waits until it has.
    pub(crate) fn stop(&mut self) -> Outcome<()> {
        // The standard library can only send SIGKILL, and a fair restart needs an orderly end. The shell has `kill` built
        // in; as a program it isn't on every machine.
        Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.process.id())).status()?;
        let asked = Instant::now();
        while self.process.try_wait()?.is_none() {
            if asked.elapsed() > START_LIMIT {
                return Err(format!("{} did not end within {START_LIMIT:?} of SIGTERM", self.name).into());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Processor time of all its threads so far.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        cpu_of(&self.process.id().to_string())
    }

    /// Resident memory now, in MiB.
    pub(crate) fn resident_mib(&self) -> Outcome<f64> {
        self.memory_mib("VmRSS:")
    }

    /// The most resident memory since the start or since [`Child::forget_peak`], in MiB.
    pub(crate) fn peak_mib(&self) -> Outcome<f64> {
        self.memory_mib("VmHWM:")
    }

    /// Lets the peak begin anew at the present memory.
    pub(crate) fn forget_peak(&self) -> Outcome<()> {
        // See proc(5): 5 resets the peak resident set size. A kernel that refuses leaves an older, higher peak: stricter.
        if let Err(fault) = fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5") {
            eprintln!("the peak memory counts from the start of the process: {fault}");
        }
        Ok(())
    }

    fn memory_mib(&self, field: &str) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or_else(|| format!("no {field} in /proc (has {} ended?)", self.name))?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1_024.0)
    }

    /// The last lines of the program's output, to explain a fault.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already, which is just as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Processor time of this very program so far.
pub(crate) fn own_cpu() -> Outcome<Duration> {
    cpu_of("self")
}

/// A loopback address whose port was free a moment ago.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn cpu_of(process: &str) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the name in brackets and may hold blanks; user and system time are fields 14 and 15 (proc(5)).
    let after_name = stat.rsplit_once(')').ok_or("unreadable /proc/…/stat")?.1;
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    // Linux shows these in hundredths of a second on every platform (USER_HZ).
    Ok(Duration::from_millis(ticks * 10))
}

fn answers_ok(addr: SocketAddr, request: &[u8]) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(request)?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
