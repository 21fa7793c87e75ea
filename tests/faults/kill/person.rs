//! A person of the load, and the ledger's page about them. Only their own worker ever touches a person, so that the page
//! is in order: what was acknowledged is certain, what was cut off may or may not have happened.

use serde_json::json;

use crate::{
    client::{Answer, Client},
    smtp::Smtp,
    support::server::{Tokens, token_of},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Live,
    Over,
    /// Its end was asked for, and no answer came.
    Unknown,
}

#[derive(Debug)]
struct Held {
    tokens: Tokens,
    fate: Fate,
}

#[derive(Debug)]
pub struct Person {
    pub email: String,
    /// The password that was acknowledged last.
    password: String,
    /// One whose acknowledgement was cut off.
    perhaps: Option<String>,
    /// Those of before.
    former: Vec<String>,
    exists: bool,
    verified: bool,
    sessions: Vec<Held>,
    /// Acknowledged, and at most: sign-ups, requests for a reset, changes of the password.
    signed_up: (usize, usize),
    asked: (usize, usize),
    changed: (usize, usize),
    passwords: u32,
}

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    Nothing,
    /// No answer, or one that promises nothing.
    Cut,
}

fn step(answer: &Answer, good: u16) -> Step {
    match answer.status {
        0 | 503 => Step::Cut,
        status if status == good => Step::Done,
        _ => panic!("{} instead of {good}: {}", answer.status, answer.text),
    }
}

/// Keeps the last few people of `crew` busy until the service is gone; how much was acknowledged and how much cut off.
pub async fn busy(crew: &mut Vec<Person>, client: &Client, smtp: &Smtp, seed: u64, number: usize) -> (u64, u64) {
    let (mut acknowledged, mut cut, mut state) = (0, 0, seed | 1);
    let mut below = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % end
    };
    for turn in 0.. {
        if below(6) == 0 || crew.len() < super::BUSY {
            crew.push(Person::new(&format!("p{number}-{turn}@example.com")));
        }
        let first = crew.len() - super::BUSY.min(crew.len());
        let chosen = first + usize::try_from(below((crew.len() - first) as u64)).expect("small");
        match crew[chosen].act(client, smtp, below(8)).await {
            Step::Done => acknowledged += 1,
            Step::Nothing => tokio::task::yield_now().await,
            Step::Cut => {
                cut += 1;
                if client.get("/healthz/live", "").await.status == 0 {
                    break;
                }
            }
        }
    }
    (acknowledged, cut)
}

impl Person {
    fn new(email: &str) -> Self {
        Self {
            email: email.to_owned(),
            password: "violet otter harbour 0".to_owned(),
            perhaps: None,
            former: Vec::new(),
            exists: false,
            verified: false,
            sessions: Vec::new(),
            signed_up: (0, 0),
            asked: (0, 0),
            changed: (0, 0),
            passwords: 0,
        }
    }

    /// Kinds of mail with how many are owed at least, and may come at most.
    pub fn owed(&self) -> [(&'static str, usize, usize); 3] {
        [
            ("verify-email?token=", self.signed_up.0, self.signed_up.1),
            ("reset-password?token=", self.asked.0, self.asked.1),
            ("notice", self.changed.0, self.changed.1),
        ]
    }

    fn link(smtp: &Smtp, email: &str, kind: &str, number: usize) -> Option<String> {
        let texts = smtp.to(email).into_iter().map(|mail| mail.text()).filter(|text| text.contains(kind));
        let mut tokens: Vec<_> = texts.map(|text| token_of(&text)).collect();
        tokens.dedup();
        tokens.into_iter().nth(number)
    }

    async fn act(&mut self, client: &Client, smtp: &Smtp, choice: u64) -> Step {
        if !self.exists {
            self.signed_up.1 = 1;
            let done = step(&client.sign_up(&self.email, &self.password).await, 202);
            (self.exists, self.signed_up.0) = (done == Step::Done, usize::from(done == Step::Done));
            return done;
        }
        if !self.verified {
            let Some(token) = Self::link(smtp, &self.email, "verify-email?token=", 0) else { return Step::Nothing };
            let answer = client.post("/auth/verify-email", "", json!({ "token": token })).await;
            // Used up by an attempt whose answer was cut off.
            self.verified = matches!(answer.status, 200 | 400);
            return if answer.status == 400 { Step::Nothing } else { step(&answer, 200) };
        }
        // A newer request or another password takes the place of a reset mail that is still owed; so those wait for it.
        if choice >= 4 && self.asked.1 > 0 && Self::link(smtp, &self.email, "reset-password?token=", self.asked.1 - 1).is_none() {
            return Step::Nothing;
        }
        let live = self.sessions.iter().position(|held| held.fate == Fate::Live);
        match (choice, live) {
            (0 | 1, _) | (_, None) if self.live() < 3 => self.log_in(client).await,
            (2 | 3, Some(index)) => {
                let done = step(&client.post("/auth/logout", &self.sessions[index].tokens.access, json!({})).await, 204);
                self.sessions[index].fate = if done == Step::Done { Fate::Over } else { Fate::Unknown };
                done
            }
            (4 | 5, Some(index)) => self.change(client, index).await,
            (6, _) if self.asked.1 < 2 => {
                self.asked.1 += 1;
                let done = step(&client.post("/auth/password/forgot", "", json!({ "email": self.email })).await, 202);
                self.asked.0 += usize::from(done == Step::Done);
                done
            }
            (7, _) if self.asked.1 > 0 => self.reset(client, smtp).await,
            _ => Step::Nothing,
        }
    }

    fn live(&self) -> usize {
        self.sessions.iter().filter(|held| held.fate != Fate::Over).count()
    }

    async fn log_in(&mut self, client: &Client) -> Step {
        if self.perhaps.is_some() {
            return Step::Nothing;
        }
        let answer = client.log_in(&self.email, &self.password).await;
        let done = step(&answer, 200);
        if done == Step::Done {
            self.sessions.push(Held { tokens: Tokens::of(&answer.body["tokens"]), fate: Fate::Live });
        }
        done
    }

    fn next_password(&mut self) -> String {
        self.passwords += 1;
        format!("violet otter harbour {}", self.passwords)
    }

    async fn change(&mut self, client: &Client, index: usize) -> Step {
        if self.perhaps.is_some() {
            return Step::Nothing;
        }
        let new = self.next_password();
        self.changed.1 += 1;
        let body = json!({ "currentPassword": self.password, "newPassword": new });
        let done = step(&client.put("/me/password", &self.sessions[index].tokens.access, body).await, 204);
        self.took(new, done, Some(index));
        done
    }

    async fn reset(&mut self, client: &Client, smtp: &Smtp) -> Step {
        let Some(token) = Self::link(smtp, &self.email, "reset-password?token=", self.asked.1 - 1) else { return Step::Nothing };
        if self.perhaps.is_some() {
            return Step::Nothing;
        }
        let new = self.next_password();
        let answer = client.post("/auth/password/reset", "", json!({ "token": token, "newPassword": new })).await;
        if answer.status == 400 {
            return Step::Nothing;
        }
        self.changed.1 += 1;
        let done = step(&answer, 204);
        self.took(new, done, None);
        done
    }

    /// A new password ends the sessions but the one that set it.
    fn took(&mut self, new: String, done: Step, keep: Option<usize>) {
        let fate = if done == Step::Done { Fate::Over } else { Fate::Unknown };
        let others = self.sessions.iter_mut().enumerate().filter(|(index, held)| Some(*index) != keep && held.fate != Fate::Over);
        others.for_each(|(_, held)| held.fate = fate);
        if done == Step::Done {
            self.changed.0 += 1;
            self.former.push(std::mem::replace(&mut self.password, new));
        } else {
            self.perhaps = Some(new);
        }
    }

    /// Compares the service with this page, and settles what was open. Answers how many things were compared.
    pub async fn check(&mut self, client: &Client) -> u64 {
        let mut checks = 0;
        for held in &mut self.sessions {
            let me = client.me(&held.tokens.access).await.status;
            match held.fate {
                Fate::Live => assert_eq!(me, 200, "{}: a live session is gone", self.email),
                Fate::Over => {
                    assert_eq!(me, 401, "{}: an ended session is back", self.email);
                    let refresh = client.post("/auth/refresh", "", json!({ "refreshToken": held.tokens.refresh })).await;
                    assert_eq!(refresh.status, 401, "{}: an ended session's refresh token is back", self.email);
                }
                Fate::Unknown => held.fate = if me == 200 { Fate::Live } else { Fate::Over },
            }
            checks += 1;
        }
        if self.exists {
            checks += self.check_password(client).await;
        } else if self.signed_up.1 > 0 {
            // An unverified sign-up that is there is told by its password alone.
            self.exists = client.log_in(&self.email, &self.password).await.status == 403;
            self.signed_up.0 = usize::from(self.exists);
        }
        checks
    }

    async fn check_password(&mut self, client: &Client) -> u64 {
        let wanted = |answer: &Answer, email: &str| {
            assert!(matches!(answer.status, 200 | 401 | 403), "{email}: {} {}", answer.status, answer.text);
            answer.status != 401
        };
        let answer = client.log_in(&self.email, &self.password).await;
        let mut right = wanted(&answer, &self.email);
        let mut reply = answer;
        if let Some(perhaps) = self.perhaps.take() {
            let other = client.log_in(&self.email, &perhaps).await;
            let took = wanted(&other, &self.email);
            assert!(right != took, "{}: exactly one of two passwords is good", self.email);
            if took {
                self.changed.0 += 1;
                self.former.push(std::mem::replace(&mut self.password, perhaps));
                (right, reply) = (true, other);
            }
        }
        assert!(right, "{}: the acknowledged password is not good any more", self.email);
        if self.verified {
            assert_eq!(reply.status, 200, "{}: an acknowledged verification is lost", self.email);
        }
        if reply.status == 200 {
            self.verified = true;
            let tokens = Tokens::of(&reply.body["tokens"]);
            assert_eq!(client.post("/auth/logout", &tokens.access, json!({})).await.status, 204);
        }
        if let Some(old) = self.former.last() {
            assert_eq!(client.log_in(&self.email, old).await.status, 401, "{}: a former password is back", self.email);
        }
        2
    }
}
