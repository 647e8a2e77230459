//! Walks the parsed file, collects values into their places and problems into a list.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::keys::{cure_for_key, cure_for_section, is_inner, keys_of, sections};
use super::value::{Complaint, describe};

/// Where a value stands, in bytes of the file.
pub(super) type Span = Range<usize>;

/// A table of the file that was checked for unknown keys.
pub(super) struct Section<'t> {
    /// Its name in messages: `queue`, `queues.nightly`.
    name: String,
    table: Option<&'t DeTable<'t>>,
}

impl<'t> Section<'t> {
    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        // Keys are looked up by text, not with their place.
        self.table?
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    /// Whether the key is there, with whatever value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The whole name of a key.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }
}

/// The problems found so far.
pub(super) struct Reader<'a> {
    source: &'a str,
    problems: Vec<(usize, Problem)>,
    /// Lines with a syntax error.
    broken: Vec<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            problems: Vec::new(),
            broken: Vec::new(),
        }
    }

    pub(super) fn problem(&mut self, span: &Span, message: String, cure: String) {
        let problem = Problem::at(self.source, span, message, cure);
        if self.broken.contains(&problem.line) {
            return;
        }
        self.problems.push((span.start, problem));
    }

    /// Everything found, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|(start, _)| *start);
        self.problems.into_iter().map(|(_, problem)| problem).collect()
    }

    /// Whether every value is as it was written; else values must not be compared with each other.
    pub(super) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// Complains about the syntax. Values on those lines are not what was meant, so nothing else is said about
    /// those lines. Answers whether the other lines can still be understood.
    pub(super) fn syntax(&mut self, errors: &[toml::de::Error]) -> bool {
        let mut broken = Vec::new();
        let mut headers = false;
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let message = error.message();
            let cure = if message.contains("leading zero") {
                "write a mode as a string, such as \"022\"; other numbers start with another digit"
            } else if message.contains("duplicate key") {
                "keep one of the two"
            } else {
                "see https://toml.io for what a line may hold"
            };
            let problem = Problem::at(self.source, &span, message.to_owned(), cure.to_owned());
            // Without its header, every key of a table would look misplaced.
            headers |= problem.text.trim_start().starts_with('[');
            broken.push(problem.line);
            self.problems.push((span.start, problem));
        }
        self.broken = broken;
        !headers
    }

    /// Complains about what may not stand at the top of the file.
    pub(super) fn top(&mut self, root: &DeTable<'_>) {
        let known = sections();
        for (name, _) in root {
            let found = name.get_ref().as_ref();
            if !known.contains(&found) {
                let message = format!("unknown table or key `{}`", shown(found));
                self.problem(&name.span(), message, cure_for_section(found));
            }
        }
    }

    fn table<'t>(&mut self, name: &str, value: &'t Spanned<DeValue<'t>>) -> Option<&'t DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let message = format!("`{name}` is {}", describe(value.get_ref()));
            self.problem(&value.span(), message, format!("write a table: [{name}]"));
        }
        table
    }

    /// The table `name` at the top; complains about unknown keys in it.
    pub(super) fn section<'t>(&mut self, root: &'t DeTable<'t>, name: &'static str) -> Section<'t> {
        let value = root.iter().find(|(key, _)| key.get_ref() == name);
        let table = value.and_then(|(_, value)| self.table(name, value));
        self.unknown(name, name, table);
        Section {
            name: name.to_owned(),
            table,
        }
    }

    /// The table `key` inside a table; `kind` is its whole name. Complains about unknown keys in it.
    pub(super) fn inner<'t>(&mut self, section: &Section<'t>, key: &str, kind: &'static str) -> Section<'t> {
        let table = section.get(key).and_then(|value| self.table(kind, value));
        self.unknown(kind, kind, table);
        Section {
            name: kind.to_owned(),
            table,
        }
    }

    /// The tables below the table `name`, such as those of the named queues, with the places of their names.
    pub(super) fn below<'t>(
        &mut self,
        root: &'t DeTable<'t>,
        name: &'static str,
        kind: &'static str,
    ) -> Vec<(&'t str, Span, Section<'t>)> {
        let Some((_, value)) = root.iter().find(|(key, _)| key.get_ref() == name) else {
            return Vec::new();
        };
        let Some(all) = self.table(name, value) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (key, value) in all {
            let path = format!("{name}.{}", shown(key.get_ref()));
            if let Some(table) = self.table(&path, value) {
                let table = Some(table);
                self.unknown(kind, &path, table);
                found.push((key.get_ref().as_ref(), key.span(), Section { name: path, table }));
            }
        }
        found
    }

    fn unknown(&mut self, kind: &str, path: &str, table: Option<&DeTable<'_>>) {
        for (name, _) in table.into_iter().flatten() {
            let found = name.get_ref().as_ref();
            if !keys_of(kind).any(|known| known == found) && !is_inner(kind, found) {
                let message = format!("unknown key `{}` in [{path}]", shown(found));
                self.problem(&name.span(), message, cure_for_key(kind, found));
            }
        }
    }

    /// Puts the value of `key`, if there is one, into `place`. Answers where it stands if it is valid.
    pub(super) fn set<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        place: &mut T,
        convert: impl Fn(&DeValue<'_>) -> Result<T, Complaint>,
    ) -> Option<Span> {
        let value = section.get(key)?;
        match convert(value.get_ref()) {
            Ok(found) => {
                *place = found;
                return Some(value.span());
            }
            Err(Complaint { fault, cure }) => {
                let message = format!("`{}` {fault}", section.path(key));
                self.problem(&value.span(), message, cure);
            }
        }
        None
    }

    /// The entries of a table of free names, with the places of their names; complains if it is no table.
    pub(super) fn free<'t>(
        &mut self,
        section: &Section<'t>,
        key: &str,
    ) -> Vec<(&'t str, Span, &'t Spanned<DeValue<'t>>)> {
        let Some(value) = section.get(key) else {
            return Vec::new();
        };
        self.table(&section.path(key), value)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.get_ref().as_ref(), name.span(), value))
            .collect()
    }
}

/// A name from the file as a message may show it.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(60).flat_map(char::escape_debug).collect()
}
