//! Reading sources as text: files, their code without comments and string literals, the names in them.

use std::path::Path;

/// One file of the repository.
pub(crate) struct Source {
    /// Path from the repository's root, with `/`.
    pub(crate) path: String,
    /// Its lines, as they are.
    pub(crate) lines: Vec<String>,
}

/// Every Rust file below a directory of the repository, in the order of their paths.
pub(crate) fn tree(dir: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join(dir)];
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source {
                    path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
                    lines: text.lines().map(str::to_owned).collect(),
                });
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {dir}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

impl Source {
    /// The module of the house that the file belongs to; none for the root and the binaries.
    pub(crate) fn module(&self) -> Option<String> {
        let below = self.path.strip_prefix("src/")?;
        let first = below.split('/').next()?;
        (below != "lib.rs" && first != "bin").then(|| first.trim_end_matches(".rs").to_owned())
    }

    /// Whether the file is this one, belongs to the module of that path, or lies in that directory.
    pub(crate) fn is_below(&self, path: &str) -> bool {
        self.path == path
            || self.path.strip_suffix(".rs") == Some(path)
            || self
                .path
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether the whole file is a test.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The number of the line with which the tests in the file begin; one behind the last if there are none.
    pub(crate) fn tests_begin(&self) -> usize {
        let mut pairs = self.lines.windows(2).enumerate();
        let begin = pairs.find(|(_, pair)| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
        begin.map_or(self.lines.len() + 1, |(at, _)| at + 1)
    }

    /// Lines of code with their numbers, without comments and without what stands in string literals.
    pub(crate) fn code(&self) -> Vec<(usize, String)> {
        let mut open = None;
        let mut code = Vec::new();
        for (number, line) in self.lines.iter().enumerate() {
            let text = strip(line, &mut open);
            if !text.trim().is_empty() {
                code.push((number + 1, text));
            }
        }
        assert!(open.is_none(), "{}: a string without an end", self.path);
        code
    }

    /// Every `crate::x`, also in groups (`crate::{x, y}`) and spelt with `super`, with its line.
    pub(crate) fn modules_used(&self) -> Vec<(usize, String)> {
        let mut used = Vec::new();
        // A name after as many `super` as the file is deep is a module of the house, too.
        let deep = self.path.matches('/').count() - usize::from(self.path.ends_with("/mod.rs"));
        let climb = "super::".repeat(deep);
        let code = self.code();
        for (at, (line, text)) in code.iter().enumerate() {
            for prefix in ["crate::", climb.as_str()] {
                for (start, _) in text.match_indices(prefix) {
                    if prefix != "crate::" && text[..start].ends_with("super::") {
                        continue;
                    }
                    let rest = &text[start + prefix.len()..];
                    if rest.starts_with('{') {
                        let group: Vec<&str> = code[at..].iter().map(|(_, text)| text.as_str()).collect();
                        let group = group.join(" ");
                        let from = group.find(&format!("{prefix}{{")).unwrap() + prefix.len() + 1;
                        used.extend(first_names(&group[from..]).map(|name| (*line, name)));
                    } else if let Some(name) = words(rest).next() {
                        used.push((*line, name.to_owned()));
                    }
                }
            }
        }
        used
    }
}

/// The first name of each path of a group, up to its closing brace.
fn first_names(group: &str) -> impl Iterator<Item = String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            _ => {}
        }
        if depth == 0
            && c != ','
            && let Some(part) = parts.last_mut()
        {
            part.push(c);
        }
    }
    parts
        .into_iter()
        .filter_map(|part| words(&part).next().map(str::to_owned))
}

/// The line without comments and string contents. `open` is the end of the string that the line begins in.
fn strip(line: &str, open: &mut Option<String>) -> String {
    let mut out = String::new();
    let mut rest = line;
    loop {
        if let Some(end) = open.clone() {
            // In a raw string a backslash means nothing.
            let raw = end.len() > 1;
            let stop = rest.find(['\\', '"']).filter(|_| !raw);
            match stop {
                Some(at) if rest[at..].starts_with('\\') => {
                    rest = rest.get(at + 2..).unwrap_or_default();
                    continue;
                }
                _ => {}
            }
            let end = end.trim_start_matches('r').to_owned();
            let Some(at) = rest.find(&end) else { return out };
            rest = &rest[at + end.len()..];
            *open = None;
        }
        let Some(at) = rest.find(['"', '\'', '/']) else {
            out.push_str(rest);
            return out;
        };
        out.push_str(&rest[..at]);
        let from = &rest[at..];
        if from.starts_with("//") {
            return out;
        }
        if let Some(after) = from.strip_prefix('"') {
            *open = Some(raw_end(&rest[..at]).unwrap_or_else(|| String::from("\"")));
            rest = after;
        } else {
            let length = quoted(from);
            if length == 1 {
                out.push_str(&from[..1]);
            }
            rest = &from[length..];
        }
    }
}

/// The end of the raw string whose opening quote comes after this text, marked with an `r`; none if it is a plain one.
fn raw_end(before: &str) -> Option<String> {
    let bare = before.trim_end_matches('#');
    let hashes = before.len() - bare.len();
    let bare = bare.strip_suffix('r')?;
    let bare = bare.strip_suffix('b').unwrap_or(bare);
    let joined = bare.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    (!joined).then(|| format!("r\"{}", "#".repeat(hashes)))
}

/// Length of the quoted character at the beginning of a text, which may be a quotation mark; 1 if it is a lifetime,
/// or no quote at all.
fn quoted(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) if text.starts_with('\'') => {
            let end = text.get(3..).and_then(|rest| rest.find('\''));
            end.map_or(1, |end| end + 4)
        }
        Some(_) if text.starts_with('\'') => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        _ => 1,
    }
}

/// The identifiers of a text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// Places where a whole word stands, with what is before and after it.
fn places<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.match_indices(word).filter_map(move |(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let joined = |c: char| c.is_alphanumeric() || c == '_';
        (!before.ends_with(joined) && !after.starts_with(joined)).then_some((before, after))
    })
}

/// Whether the text begins a path with the crate, or imports it.
pub(crate) fn names_crate(text: &str, name: &str) -> bool {
    let imported = text.trim_start().starts_with("use ");
    places(text, name).any(|(before, after)| {
        !before.ends_with("::")
            && !before.ends_with('.')
            && (after.starts_with("::") || (imported && before.trim() == "use" && after.starts_with(';')))
    })
}

/// Whether the text calls or imports a free function of that name; methods do not count.
pub(crate) fn calls_function(text: &str, name: &str) -> bool {
    let imported = text.trim_start().starts_with("use ");
    places(text, name).any(|(before, after)| {
        let called = after.starts_with('(') && !before.ends_with('.') && !before.ends_with("fn ");
        let from = imported && (before.contains("signal::") || before.contains("libc::"));
        called || from
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    fn code(text: &str) -> String {
        let code = source("src/x.rs", text).code();
        code.into_iter()
            .map(|(_, text)| text)
            .collect::<Vec<_>>()
            .join("|")
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        assert_eq!(code("a(); // b\n/// c\nd()"), "a(); |d()");
        assert_eq!(code(r#"a("b // c \" d", 'e')"#), "a(, )");
        assert_eq!(code("a(\"b\nc\")d"), "a(|)d");
        assert_eq!(code("a(r#\"b\" \\ c\"#, '\"', '\\'')e"), "a(r#, , )e");
        assert_eq!(code("fn a<'b>(c: &'b str) / 2"), "fn a<'b>(c: &'b str) / 2");
    }

    #[test]
    fn every_spelling_of_a_use_is_found() {
        let used = |path: &str, text: &str| {
            let used = source(path, text).modules_used();
            used.into_iter()
                .map(|(line, name)| format!("{line} {name}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(used("src/a/b.rs", "use crate::store::x;"), ["1 store"]);
        assert_eq!(used("src/a/b.rs", "let x =\n    crate::sys::y();"), ["2 sys"]);
        assert_eq!(
            used("src/a/b.rs", "use crate::{\n    sys::{a, b},\n    wire,\n};"),
            ["1 sys", "1 wire"]
        );
        assert_eq!(used("src/a/b.rs", "use super::super::store::x;"), ["1 store"]);
        assert_eq!(
            used("src/a/b/c.rs", "use super::super::store::x;"),
            Vec::<String>::new()
        );
        assert_eq!(used("src/a/mod.rs", "use super::store::x;"), ["1 store"]);
        assert_eq!(used("src/a/b.rs", "// crate::store"), Vec::<String>::new());
    }

    #[test]
    fn crates_and_calls_are_told_from_other_names() {
        assert!(names_crate("use toml::Value;", "toml"));
        assert!(names_crate("use toml;", "toml"));
        assert!(names_crate("    let x: toml::Value = y;", "toml"));
        assert!(!names_crate("crate::toml::Value", "toml"));
        assert!(!names_crate("my_toml::Value", "toml"));
        assert!(calls_function("kill(pid, 9)", "kill"));
        assert!(calls_function("libc::kill(pid, 9)", "kill"));
        assert!(calls_function("use nix::sys::signal::{kill, Signal};", "kill"));
        assert!(!calls_function("cgroup.kill()", "kill"));
        assert!(!calls_function("pub fn kill(&self)", "kill"));
    }
}
