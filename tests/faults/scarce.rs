//! A full disk and no file descriptors: what can't be done is refused, what can goes on, and nothing has to be restarted.

use std::{
    io::Write as _,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    client::Client,
    support::{
        PASSWORD,
        server::{Server, program},
    },
    world::{KEY, Outcome, World, until},
};

const BACK_WITHIN: Duration = Duration::from_secs(10);

/// A small file system in memory, as long as it lives.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // Lazily: a server that is just ending may still have a file there.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

pub async fn a_full_disk_refuses_writes_alone(_: Arc<World>) -> Outcome {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let Some(_small) = Small::mount(folder.path(), "24m") else { return Outcome::NotRun("mounting a small tmpfs needs root".to_owned()) };
    // Its log stands on the full disk, too.
    let server = Server::start(folder.path(), "a", &[("MASTER_KEY", KEY)]).await;
    let ada = server.user("ada@example.com").await;
    let client = Client::new(&server.url);
    assert_eq!(client.me(&ada.access).await.status, 200);
    let filler = folder.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    for size in [1 << 20, 4_096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    drop(file);
    let (mut taken, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    let began = Instant::now();
    while refused < 10 {
        let answer = client.sign_up(&format!("full{taken}-{refused}@example.com"), PASSWORD).await;
        match answer.status {
            // The journal has room that it took before.
            202 => taken += 1,
            503 | 507 => refused += 1,
            other => panic!("{other} {}", answer.text),
        }
        assert!(answer.status == 202 || answer.retry_after.is_some());
        slowest = slowest.max(answer.took);
        assert!(began.elapsed() < Duration::from_secs(60), "the disk is never full");
        let (me, live) = tokio::join!(client.me(&ada.access), client.get("/healthz/live", ""));
        assert_eq!((me.status, live.status), (200, 200), "reads and checks go on: {}", me.text);
    }
    std::fs::remove_file(&filler).unwrap();
    let back = until("writes work again", BACK_WITHIN, async || client.sign_up("after@example.com", PASSWORD).await.status == 202).await;
    server.stop().await;
    crate::secrets::search(folder.path(), &std::fs::read(folder.path().join("realmgate.db")).unwrap());
    let url = format!("sqlite://{}", folder.path().join("realmgate.db").display());
    assert_eq!(crate::postgres::rows(&url, "SELECT integrity_check AS v FROM pragma_integrity_check").await, ["ok"]);
    let users = crate::postgres::rows(&url, "SELECT CAST(COUNT(*) AS TEXT) AS v FROM users WHERE email LIKE 'full%'").await;
    assert_eq!(users, [taken.to_string()], "what was acknowledged is there, what was refused is not");
    Outcome::Passed(vec![format!(
        "disk full: {taken} writes taken before, {refused} refused with 503 (slowest {} ms), reads and token checks 200 all along; writes again {} ms after room was made; database whole",
        slowest.as_millis(),
        back.as_millis()
    )])
}

pub async fn without_file_descriptors_it_lives_on(world: Arc<World>) -> Outcome {
    let place = world.sqlite();
    let inner = program(place.path(), &[("MASTER_KEY", KEY)]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 256 && exec \"$0\" serve"]).arg(inner.get_program());
    command.current_dir(place.path()).envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let server = Server::spawn(place.path(), "a", command).await;
    let ada = server.user("ada@example.com").await;
    let client = Client::new(&server.url);
    assert_eq!(client.me(&ada.access).await.status, 200);
    let address = server.url.trim_start_matches("http://").to_owned();
    let crowd: Vec<_> = (0..300).filter_map(|_| std::net::TcpStream::connect(&address).ok()).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Whoever is in already is served.
    let mut served = 0;
    for number in 0..20 {
        let (me, new) = (client.me(&ada.access).await, client.sign_up(&format!("crowd{number}@example.com"), PASSWORD).await);
        assert!(matches!(me.status, 200 | 503) && matches!(new.status, 202 | 503), "{} {}", me.text, new.text);
        served += u32::from(me.status == 200) + u32::from(new.status == 202);
    }
    let connected = crowd.len();
    drop(crowd);
    let fresh = Client::new(&server.url);
    let back = until("newcomers are served again", BACK_WITHIN, async || fresh.me(&ada.access).await.status == 200).await;
    server.stop().await;
    place.search(&world);
    Outcome::Passed(vec![format!(
        "256 file descriptors, {connected} idle connections: alive, {served} of 40 requests of one who was in served, newcomers {} ms after the crowd left",
        back.as_millis()
    )])
}
