//! Holds the shape of the source tree: which ring may name which, where frameworks may appear, how a file begins.
//!
//! Reads the sources as text, so that it needs no tool beside cargo and finds what the compiler is content with. It sees
//! paths that are written out (`use crate::store::…`, `super::super::store::…`) and nothing that a macro makes of them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// No file may be longer.
const MOST_LINES: usize = 400;

/// A ring, and what it may name beside itself. `main` and `lib` join the rings together and may name all.
const RINGS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &["domain"]),
    ("telemetry", &["domain", "config"]),
    ("store", &["domain"]),
    ("crypto", &["domain"]),
    ("limiter", &["domain"]),
    ("mail", &["domain"]),
    ("upstream", &["domain"]),
    ("blobs", &["domain"]),
    ("app", &["domain", "config", "store", "crypto", "limiter", "mail", "upstream", "blobs"]),
    ("service", &["domain", "config", "store", "crypto", "limiter", "mail", "upstream", "blobs", "app"]),
    ("worker", &["domain", "config", "store", "crypto", "limiter", "mail", "upstream", "blobs", "app", "service"]),
    ("http", &["domain", "config", "store", "crypto", "limiter", "mail", "upstream", "blobs", "app", "service"]),
    ("cli", &["domain", "config", "telemetry", "store", "crypto", "limiter", "mail", "upstream", "blobs", "app", "service", "worker", "http"]),
    ("main", &["cli"]),
];

/// Dialects under `http`: they translate, so they know neither each other nor the database.
const FAMILIES: &[&str] = &["native", "converse", "conversant", "vonage", "gateway", "ui", "dev"];

/// Crates with a place of their own: names, the rings that may use them, and single files that may as well.
const CRATES: &[(&[&str], &[&str], &[&str])] = &[
    (&["poem", "poem_openapi"], &["http", "cli"], &[]),
    // Typed ids derive the value trait where they are defined, or each would need a twin in `store`.
    (&["sea_orm", "sea_orm_migration", "sea_query", "sqlx"], &["store"], &["src/domain/id.rs"]),
];

#[test]
fn the_source_tree_keeps_its_shape() {
    let sources = sources();
    assert!(sources.iter().any(|(path, _)| path == "src/lib.rs"), "the sources were not found");
    let found = violations(&sources);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    // Put together here, so that this file doesn't hold them itself.
    let folders = ["work", "root", "home", "Users"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for path in files_below(&repository()) {
        // What isn't text can't be read by people either.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        found.extend(machine_paths(&text, &folders).map(|(line, folder)| format!("{}:{line}: {folder}", path.display())));
    }
    assert!(found.is_empty(), "absolute paths of a machine:\n{}", found.join("\n"));
}

#[test]
fn a_violation_is_found() {
    let cases = [
        ("src/domain/user.rs", "//! x\nuse crate::store::users;", "`domain` must not name `store`"),
        ("src/domain/user.rs", "//! x\nuse super::super::service::login;", "`domain` must not name `service`"),
        ("src/store/users.rs", "//! x\nuse crate::{domain::Error, crypto::{password, keyring}};", "`store` must not name `crypto`"),
        ("src/store/mod.rs", "//! x\nuse super::mail;", "`store` must not name `mail`"),
        ("src/service/login.rs", "//! x\nfn f() { crate::http::failure::render(); }", "`service` must not name `http`"),
        ("src/service/login.rs", "//! x\nuse poem::Response;", "`poem` is for http, cli alone"),
        ("src/service/login.rs", "//! x\nuse poem as web;", "`poem` is for http, cli alone"),
        ("src/mail/smtp.rs", "//! x\nfn f() -> ::sqlx::Error {}", "`sqlx` is for store alone"),
        ("src/http/ops.rs", "//! x\nfn f() -> sea_orm::DbErr {}", "`sea_orm` is for store alone"),
        ("src/http/native/me.rs", "//! x\nuse crate::store::users;", "family `native` must not name `store`"),
        ("src/http/native/me.rs", "//! x\nuse crate::http::{failure, vonage::Body};", "family `native` must not name family `vonage`"),
        ("src/http/native/me.rs", "//! x\nuse super::super::ui::page;", "family `native` must not name family `ui`"),
        ("src/main.rs", "//! x\nfn main() { realmgate::service::login(); }", "`main` must not name `service`"),
        ("src/extras/mod.rs", "//! x\n", "`extras` is no ring of the design"),
        ("src/domain/user.rs", "// x\n", "must open with `//!`"),
    ];
    for (path, text, wanted) in cases {
        let found = violations(&[(path.to_owned(), text.to_owned())]);
        assert!(matches!(&found[..], [only] if only.contains(wanted) && only.contains(path)), "{path} with {text:?} should give {wanted:?}, gave {found:?}");
    }
    let long = format!("//! x\n{}", "\n".repeat(MOST_LINES));
    assert_eq!(violations(&[("src/domain/user.rs".to_owned(), long)]).len(), 1, "a long file");
    let folder = "/somewhere/".to_owned();
    assert_eq!(machine_paths("a\nb /somewhere/else\nhttps://example.com/somewhere/", &[folder]).map(|(line, _)| line).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_is_allowed_is_left_alone() {
    let cases = [
        ("src/service/login.rs", "//! x\nuse crate::{app::App, domain::{Error, user::User}, store};\nuse super::Ctx;"),
        ("src/http/native/me.rs", "//! Unlike crate::store, sqlx.\nuse crate::{http::failure, service::login};\nuse super::wire;"),
        ("src/store/users.rs", "//! x\nuse sea_orm::EntityTrait;\n/* crate::http */ const A: &str = \"crate::http::x // \\\" poem::y\";"),
        ("src/domain/id.rs", "//! x\n#[derive(sea_orm::DeriveValueType)]\nstruct A<'a>(&'a str, char);\nconst C: char = '\"';"),
        ("src/domain/text.rs", "//! x\nconst A: &str = r#\"crate::http \" poem::z\"#;\npub(crate) fn f() {}\n#[cfg(test)]\nmod tests { use super::*; }"),
        ("src/http/native/mod.rs", "//! x\nuse super::context::ui_hint;"),
        ("migration/src/lib.rs", "//! x\nuse sea_orm_migration::prelude::*;"),
    ];
    for (path, text) in cases {
        assert_eq!(violations(&[(path.to_owned(), text.to_owned())]), Vec::<String>::new(), "{path} with {text:?}");
    }
}

/// Everything wrong with these files, each a path from the repository's root and a text.
fn violations(files: &[(String, String)]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (path, text) in files {
        let mut report = |fault: String| found.insert(format!("{path}: {fault}"));
        if !text.starts_with("//!") {
            report("must open with `//!` and say what it is for".to_owned());
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            report(format!("has {lines} lines, more than {MOST_LINES}"));
        }
        if let Some(module) = module_of(path) {
            shape_faults(path, &module, &code_of(text)).into_iter().for_each(|fault| _ = report(fault));
        }
    }
    found.into_iter().collect()
}

fn shape_faults(path: &str, module: &[&str], code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let ring = module.first().copied().unwrap_or("lib");
    if ring == "lib" {
        return faults;
    }
    let Some((_, allowed)) = RINGS.iter().find(|(name, _)| *name == ring) else {
        return vec![format!("`{ring}` is no ring of the design; if it should be one, add it to this test")];
    };
    let family = module.get(1).copied().filter(|name| ring == "http" && FAMILIES.contains(name));
    for named in named_modules(module, code) {
        let Some(top) = named.first().map(String::as_str).filter(|top| RINGS.iter().any(|(name, _)| name == top)) else { continue };
        if top != ring && !allowed.contains(&top) {
            faults.push(format!("`{ring}` must not name `{top}`"));
        }
        let Some(family) = family else { continue };
        if top == "store" {
            faults.push(format!("family `{family}` must not name `store`"));
        }
        if let Some(other) = named.get(1).map(String::as_str).filter(|other| top == "http" && *other != family && FAMILIES.contains(other)) {
            faults.push(format!("family `{family}` must not name family `{other}`"));
        }
    }
    for (names, rings, files) in CRATES {
        for name in names.iter().filter(|name| !rings.contains(&ring) && !files.contains(&path) && after_name(code, name).next().is_some()) {
            faults.push(format!("`{name}` is for {} alone", rings.join(", ")));
        }
    }
    faults
}

/// The module path of a file of `src`: `src/http/native/me.rs` is `http native me`, `src/store/mod.rs` is `store`.
fn module_of(path: &str) -> Option<Vec<&str>> {
    let mut module: Vec<_> = path.strip_prefix("src/")?.strip_suffix(".rs")?.split('/').collect();
    if matches!(module.last(), Some(&("mod" | "lib"))) {
        module.pop();
    }
    Some(module)
}

/// The first two segments of every path into this crate that the code of `module` writes out.
fn named_modules(module: &[&str], code: &str) -> Vec<Vec<String>> {
    let mut named = Vec::new();
    for start in ["crate", "realmgate"] {
        for rest in paths_from(code, start) {
            branches(rest, &[], &mut named);
        }
    }
    for mut rest in paths_from(code, "super") {
        let mut climbed = 1;
        while let Some(higher) = rest.strip_prefix("super::") {
            (rest, climbed) = (higher, climbed + 1);
        }
        // A module inside a file climbs out of that file first. This takes it for a module of the folder, which finds
        // too little there and never too much.
        let Some(depth) = module.len().checked_sub(climbed) else { continue };
        branches(rest, &module[..depth].iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), &mut named);
    }
    named
}

/// What follows `word::` wherever `word` begins a path.
fn paths_from<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    after_name(code, word).filter_map(|rest| rest.trim_start().strip_prefix("::").map(str::trim_start))
}

/// What follows `word` wherever it stands as a name of its own and not as a later segment of a path.
fn after_name<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(word).filter_map(move |(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let inside = before.ends_with(is_word) || after.starts_with(is_word) || before.strip_suffix("::").is_some_and(|path| path.ends_with(is_word));
        (!inside).then_some(after)
    })
}

/// Follows a path, and each branch of a `{…}` group, until two segments are known.
fn branches(rest: &str, so_far: &[String], named: &mut Vec<Vec<String>>) {
    let rest = rest.trim_start();
    if so_far.len() >= 2 {
        named.push(so_far.to_vec());
    } else if let Some(group) = rest.strip_prefix('{') {
        let (mut depth, mut start) = (0_usize, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' if depth == 0 => {
                    branches(&group[start..at], so_far, named);
                    start = at + 1;
                }
                '}' if depth == 0 => return branches(&group[start..at], so_far, named),
                '}' => depth -= 1,
                _ => {}
            }
        }
    } else {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if end == 0 {
            named.push(so_far.to_vec());
            return;
        }
        let longer = [so_far, &[rest[..end].to_owned()]].concat();
        match rest[end..].trim_start().strip_prefix("::") {
            Some(further) => branches(further, &longer, named),
            None => named.push(longer),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text without comments, and with every string and character emptied.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let raw_hashes = rest.strip_prefix('r').filter(|_| !code.ends_with(is_word)).map(|after| after.len() - after.trim_start_matches('#').len());
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(hashes) = raw_hashes.filter(|&hashes| rest[1 + hashes..].starts_with('"')) {
            let end = format!("\"{}", "#".repeat(hashes));
            rest[2 + hashes..].find(&end).map_or(rest.len(), |at| 2 + hashes + at + end.len())
        } else if c == '"' {
            string_length(rest)
        } else if c == '\'' {
            // A lifetime has no closing quote right behind its first character.
            let inner = rest[1..].chars().next().map_or(0, char::len_utf8);
            if rest[1..].starts_with('\\') {
                rest[3..].find('\'').map_or(rest.len(), |at| at + 4)
            } else if rest[1 + inner..].starts_with('\'') {
                inner + 2
            } else {
                0
            }
        } else {
            0
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Lines, counted from 1, on which one of the folders begins a path. `https://example.com/work/` is no such place.
fn machine_paths<'a>(text: &'a str, folders: &'a [String]) -> impl Iterator<Item = (usize, &'a str)> {
    let begins =
        |line: &str, folder: &str| line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(|c: char| is_word(c) || matches!(c, '.' | '-' | '}' | ')')));
    text.lines().enumerate().flat_map(move |(at, line)| folders.iter().filter(move |folder| begins(line, folder)).map(move |folder| (at + 1, folder.as_str())))
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust sources of the program and of its migrations, sorted by path.
fn sources() -> Vec<(String, String)> {
    let root = repository();
    let mut sources: Vec<_> = ["src", "migration/src"]
        .iter()
        .flat_map(|folder| files_below(&root.join(folder)))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            (
                path.strip_prefix(&root).expect("it is below the root").to_string_lossy().into_owned(),
                fs::read_to_string(&path).expect("a source is readable text"),
            )
        })
        .collect();
    sources.sort();
    sources
}

/// All files below a folder, except git's own and what it ignores at the repository's root.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    const LEFT_OUT: [&str; 4] = [".git", "target", "data", "realmgate.toml"];
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let entry = entry.expect("the folder is readable");
        let path = entry.path();
        if folder == repository() && LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type().expect("the entry has a type").is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
