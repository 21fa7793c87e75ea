//! What the time of an answer tells of an API key: nothing of how much of a secret was guessed, nothing of whether its id is
//! one that was given out.

use std::time::Instant;

use realmgate::{
    crypto::entropy::SeededEntropy,
    domain::{api_key::KeyText, id::ApiKeyId},
    service::key_check,
};

use crate::support::{
    Backend, TestApp,
    keys::{Key, plain_key},
};

const HEAD: usize = "conv_".len();
const ID: usize = 22;
const SECRET: usize = 43;

/// A text of the right spelling with that id and secret.
fn spelt(id: &str, secret: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("conv_{id}{secret}");
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut sum = [b'0'; 6];
    for digit in sum.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    body + std::str::from_utf8(&sum).unwrap()
}

/// Ranks, 0 for the least.
fn ranks(times: &[u128]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by_key(|&at| times[at]);
    let mut ranks = vec![0.0; times.len()];
    for (rank, at) in order.into_iter().enumerate() {
        ranks[at] = rank as f64;
    }
    ranks
}

/// Correlation of two rows of numbers.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |row: &[f64]| row.iter().sum::<f64>() / row.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - mean_a, y - mean_b)).sum::<f64>();
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}

/// The chance that a guess of the second kind takes longer than one of the first: one half if nothing can be told.
fn auc(first: &[u128], second: &[u128]) -> f64 {
    let both: Vec<u128> = first.iter().chain(second).copied().collect();
    let sum: f64 = ranks(&both)[first.len()..].iter().sum();
    let (n, m) = (first.len() as f64, second.len() as f64);
    (sum - m * (m - 1.0) / 2.0) / (n * m)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_an_answer_tells_nothing_of_a_key() {
    let app = TestApp::on(Backend::Sqlite).await.unwrap();
    let ada = app.owner("ada@example.com").await;
    let key = Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &plain_key()).await);
    assert_eq!(spelt(&key.text[HEAD..HEAD + ID], &key.text[HEAD + ID..HEAD + ID + SECRET]), key.text);
    assert!(key_check::prove(app.app(), &key.text).await.unwrap().is_some());
    let (id, secret) = (&key.text[HEAD..HEAD + ID], &key.text[HEAD + ID..HEAD + ID + SECRET]);
    let entropy = SeededEntropy::new(7);
    let random = || KeyText::mint("conv", false, ApiKeyId::new(app.now(), &entropy), &entropy).reveal();
    let timed = async |text: String| {
        let started = Instant::now();
        assert!(key_check::prove(app.app(), &text).await.unwrap().is_none());
        started.elapsed().as_nanos()
    };
    // Machines that tests share have bad moments: what is there every time is there.
    let mut found = Vec::new();
    for _ in 0..3 {
        let (mut shared, mut times, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for guess in 0..20_000_usize {
            let other = random();
            if guess % 5 == 0 {
                unknown.push(timed(other).await);
                continue;
            }
            let same = guess % (SECRET - 1);
            shared.push(same as f64);
            times.push(timed(spelt(id, &format!("{}{}", &secret[..same], &other[HEAD + ID + same..HEAD + ID + SECRET]))).await);
        }
        let (r, auc) = (correlation(&shared, &ranks(&times)), auc(&unknown, &times));
        println!("measured: {} guesses, correlation with the shared length {r:.4}, unknown id against wrong secret AUC {auc:.3}", times.len() + unknown.len());
        // Four standard deviations of what chance alone gives 16,000 guesses.
        if r.abs() < 0.032 && (0.40..=0.60).contains(&auc) {
            return;
        }
        found.push((r, auc));
    }
    panic!("{found:?}");
}
