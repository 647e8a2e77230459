//! From a tracing event to a record that can wait in the queue.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::escape::escape_cut;
use super::queue::Queue;
use crate::model::{Time, limits};
use crate::sys::clock;

/// Everything about an event, owned and safe to show.
#[derive(Debug)]
pub(super) struct Record {
    /// Level, target and place in the source.
    pub(super) metadata: &'static Metadata<'static>,
    /// When it was logged; it may be written later.
    pub(super) at: Time,
    /// The fields with values, the message among them.
    pub(super) fields: Vec<(Field, Value)>,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Text, escaped and cut to [`limits::TEXT_MAX`].
    Text(String),
    /// A whole number.
    Signed(i64),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// Any number.
    Float(f64),
    /// True or false.
    Truth(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Signed(number) => number.fmt(f),
            Self::Unsigned(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Truth(truth) => truth.fmt(f),
        }
    }
}

impl Record {
    /// The event as of now.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut record = Self {
            metadata: event.metadata(),
            at: Time(clock::wall_micros()),
            fields: Vec::new(),
        };
        event.record(&mut record);
        record
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.fields
            .iter()
            .find(|(field, _)| field.name() == name)
            .map(|(_, value)| value)
    }
}

/// Takes what a value prints as, but never more than a record may hold.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One character more than fits tells the cutter that something is missing.
        for c in text.chars() {
            if self.0.len() > limits::TEXT_MAX {
                return Err(fmt::Error);
            }
            self.0.push(c);
        }
        Ok(())
    }
}

impl Visit for Record {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.clone(), Value::Float(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.clone(), Value::Signed(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.clone(), Value::Unsigned(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.clone(), Value::Truth(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = escape_cut(value, limits::TEXT_MAX);
        self.fields.push((field.clone(), Value::Text(text)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut cut = Cut(String::new());
        // The only error is that of a full buffer.
        fmt::write(&mut cut, format_args!("{value:?}")).unwrap_or_default();
        self.record_str(field, &cut.0);
    }
}

thread_local! {
    /// On the writing thread: what it logs itself, which must not go through the queue it empties.
    static OWN: RefCell<Option<Vec<Record>>> = const { RefCell::new(None) };
}

/// Declares this thread to be the writing one.
pub(super) fn become_writer() {
    OWN.set(Some(Vec::new()));
}

/// What the writing thread has logged itself since the last call.
pub(super) fn take_own() -> Vec<Record> {
    OWN.with_borrow_mut(|own| own.as_mut().map(std::mem::take).unwrap_or_default())
}

/// The layer that fills the queue.
pub(super) struct Capture {
    queue: Arc<Queue<Record>>,
}

impl Capture {
    pub(super) fn new(queue: Arc<Queue<Record>>) -> Self {
        Self { queue }
    }
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Some(Record::of(event));
        OWN.with_borrow_mut(|own| {
            if let Some(own) = own {
                own.extend(record.take());
            }
        });
        if let Some(record) = record {
            self.queue.offer(record);
        }
    }
}
