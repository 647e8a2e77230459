//! Text to nodes.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::text::{pos, printable_text};
use super::{COPIES_MAX, DEPTH_MAX, Entry, Kind, NODES_MAX, Node, Scalar, TEXT_MAX, Value, scalar};
use crate::dag::diag::{Pos, Report};

/// Reads a text into its documents; those that are empty are left out. What is wrong goes to the report, and then
/// nothing comes back: after a syntax error the rest of a YAML text has no certain meaning.
pub(in crate::dag) fn read(text: &[u8], file: u8, report: &mut Report) -> Option<Vec<Node>> {
    let text = printable_text(text, file, report)?;
    let errors = report.error_count();
    let mut reader = Reader {
        file,
        report,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        text: 0,
        copies: 0,
        documents: Vec::new(),
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((Event::StreamEnd, _)) => break,
            Ok((event, span)) => reader.event(event, &span.start)?,
            Err(error) => {
                let at = reader.pos(error.marker());
                syntax_error(text, at, error.info(), reader.report);
                return None;
            }
        }
    }
    let documents = reader.documents;
    (report.error_count() == errors).then_some(documents)
}

fn syntax_error(text: &str, at: Pos, info: &str, report: &mut Report) {
    let index = usize::try_from(at.line).unwrap_or(usize::MAX).saturating_sub(1);
    let line = text.lines().nth(index).unwrap_or_default();
    let indent = line.len() - line.trim_start().len();
    let message = format!("not valid YAML: {info}");
    if line.get(..indent).is_some_and(|lead| lead.contains('\t')) {
        report.error_hint(at, message, "YAML is indented with spaces, never with tabs");
    } else {
        report.error(at, message);
    }
}

/// A list or map that is still being read.
struct Open {
    at: Pos,
    anchor: usize,
    content: Content,
    /// Budget used before it began, so that its own size is known when it ends.
    before: (usize, usize),
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        keys: HashMap<String, Pos>,
        key: Option<(String, Pos)>,
        /// What `<<` brings.
        merge: Option<Node>,
    },
}

struct Anchored {
    node: Node,
    nodes: usize,
    text: usize,
}

struct Reader<'r> {
    file: u8,
    report: &'r mut Report,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    text: usize,
    copies: usize,
    documents: Vec<Node>,
}

impl Reader<'_> {
    fn pos(&self, marker: &Marker) -> Pos {
        pos(self.file, marker.line(), marker.col() + 1)
    }

    /// Takes an event. `None` ends the reading; the report says why.
    fn event(&mut self, event: Event<'_>, marker: &Marker) -> Option<()> {
        let at = self.pos(marker);
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", at);
                self.begin(at, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", at);
                let content = Content::Map {
                    entries: Vec::new(),
                    keys: HashMap::new(),
                    key: None,
                    merge: None,
                };
                self.begin(at, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Scalar(text, style, anchor, tag) => {
                let before = (self.nodes, self.text);
                self.charge(at, 1, text.len())?;
                let scalar = self.scalar(text.into_owned(), style, tag.as_deref(), at);
                self.done(
                    Node {
                        at,
                        value: Value::Scalar(scalar),
                    },
                    anchor,
                    before,
                )?;
            }
            Event::Alias(id) => self.alias(id, at)?,
            _ => {}
        }
        Some(())
    }

    fn charge(&mut self, at: Pos, nodes: usize, text: usize) -> Option<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.text = self.text.saturating_add(text);
        if self.nodes <= NODES_MAX && self.text <= TEXT_MAX && self.copies <= COPIES_MAX {
            return Some(());
        }
        let message = "the text is too large once its aliases are expanded";
        self.report.error(at, message);
        None
    }

    /// Charges for a copy, before it is made.
    fn charge_copy(&mut self, at: Pos, nodes: usize, text: usize) -> Option<()> {
        self.copies = self.copies.saturating_add(nodes);
        self.charge(at, nodes, text)
    }

    fn begin(&mut self, at: Pos, anchor: usize, content: Content) -> Option<()> {
        if self.open.len() >= DEPTH_MAX {
            self.report.error(
                at,
                format!("lists and maps are nested more than {DEPTH_MAX} deep"),
            );
            return None;
        }
        let before = (self.nodes, self.text);
        self.charge(at, 1, 0)?;
        self.open.push(Open {
            at,
            anchor,
            content,
            before,
        });
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let open = self.open.pop()?;
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map {
                mut entries,
                keys,
                merge,
                ..
            } => {
                if let Some(merge) = merge {
                    self.merge(merge, &keys, &mut entries);
                }
                Value::Map(entries)
            }
        };
        self.done(Node { at: open.at, value }, open.anchor, open.before)
    }

    fn alias(&mut self, id: usize, at: Pos) -> Option<()> {
        let before = (self.nodes, self.text);
        let Some(anchored) = self.anchors.get(&id) else {
            // Only a node inside the anchored one can get here: its anchor is known but not complete.
            self.report
                .error(at, "an alias inside the value it stands for has no end");
            return None;
        };
        let (nodes, text) = (anchored.nodes, anchored.text);
        self.charge_copy(at, nodes, text)?;
        let node = self.anchors.get(&id).map(|anchored| anchored.node.clone())?;
        self.done(node, 0, before)
    }

    /// A value is complete: it goes where it belongs.
    fn done(&mut self, node: Node, anchor: usize, before: (usize, usize)) -> Option<()> {
        if anchor > 0 {
            let (nodes, text) = (self.nodes - before.0, self.text - before.1);
            // The kept copy costs memory as well.
            self.charge_copy(node.at, nodes, text)?;
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    nodes,
                    text,
                },
            );
        }
        let at = node.at;
        match self.open.last_mut().map(|open| &mut open.content) {
            None => {
                if !node.is_null() {
                    self.documents.push(node);
                }
            }
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map {
                entries,
                keys,
                key,
                merge,
            }) => match key.take() {
                None => match node.value {
                    Value::Scalar(Scalar { kind: Kind::Null, .. }) => {
                        self.report.error(at, "a map key is missing");
                        return None;
                    }
                    Value::Scalar(scalar) => *key = Some((scalar.text, at)),
                    _ => {
                        let message = format!("a map key is {}; it must be a text", node.describe());
                        self.report.error(at, message);
                        return None;
                    }
                },
                Some((text, key_at)) if text == "<<" => {
                    if merge.is_some() {
                        let message = "the key \"<<\" is there twice";
                        let cure = "one can merge several maps: `<<: [*a, *b]`";
                        self.report.error_hint(key_at, message, cure);
                    } else {
                        *merge = Some(node);
                    }
                }
                Some((text, key_at)) => {
                    if let Some(first) = keys.get(&text) {
                        let message = format!(
                            "the key {text:?} is there twice; it was first on line {}",
                            first.line
                        );
                        self.report.error(key_at, message);
                    } else {
                        keys.insert(text.clone(), key_at);
                        entries.push(Entry {
                            key: text,
                            key_at,
                            value: node,
                        });
                    }
                }
            },
        }
        Some(())
    }

    /// Adds what `<<` brings: keys that are not written in the map itself; of several maps the first wins.
    fn merge(&mut self, node: Node, keys: &HashMap<String, Pos>, entries: &mut Vec<Entry>) {
        let at = node.at;
        let maps = match node.value {
            Value::List(items) => items,
            value => vec![Node { at, value }],
        };
        let mut merged: HashSet<String> = HashSet::new();
        for map in maps {
            let Value::Map(brought) = map.value else {
                let message = format!("`<<` merges maps, not {}", map.describe());
                self.report.error(map.at, message);
                continue;
            };
            for entry in brought {
                if !keys.contains_key(&entry.key) && merged.insert(entry.key.clone()) {
                    entries.push(entry);
                }
            }
        }
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, expected: &str, at: Pos) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == expected)
        {
            self.bad_tag(tag, at);
        }
    }

    fn bad_tag(&mut self, tag: &Tag, at: Pos) {
        self.report.error(
            at,
            format!("the tag {}{} has no meaning here", tag.handle, tag.suffix),
        );
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, tag: Option<&Tag>, at: Pos) -> Scalar {
        let plain = style == ScalarStyle::Plain;
        let resolved = scalar::resolve(&text);
        let kind = match tag {
            None if plain => resolved,
            None => Kind::Str,
            Some(tag) if tag.is_yaml_core_schema() => match (tag.suffix.as_str(), resolved) {
                ("str", _) => Kind::Str,
                ("null", Kind::Null)
                | ("bool", Kind::Bool(_))
                | ("int", Kind::Int(_))
                | ("float", Kind::Float(_)) => resolved,
                ("float", Kind::Int(value)) => Kind::Float(value as f64),
                (kind, _) => {
                    self.report
                        .error(at, format!("{text:?} is not what the tag !!{kind} says"));
                    Kind::Str
                }
            },
            Some(tag) => {
                self.bad_tag(tag, at);
                Kind::Str
            }
        };
        let text = if kind == Kind::Null { String::new() } else { text };
        Scalar { kind, text }
    }
}
