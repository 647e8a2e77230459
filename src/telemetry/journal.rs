//! The journal: a record becomes the event it was and goes through tracing-journald, on the writing thread.

use std::io;

use tracing::field::Field;
use tracing::{Dispatch, Event};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

use super::Sink;
use super::capture::{Record, Value};

/// What writes records to the journal. It blocks while the journal does not read.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` if there is no journal.
pub(super) fn sink(identifier: &str) -> io::Result<Sink> {
    let layer = tracing_journald::layer()?
        // Without a prefix MESSAGE_ID is MESSAGE_ID.
        .with_field_prefix(None)
        .with_syslog_identifier(identifier.to_owned())
        .with_custom_fields([("SYSLOG_FACILITY", "3")])
        .with_priority_mappings(PriorityMappings {
            error: Priority::Error,
            warn: Priority::Warning,
            info: Priority::Informational,
            debug: Priority::Debug,
            trace: Priority::Debug,
        });
    // It is handed events and asks for none: OFF keeps it from raising the level of the whole process.
    let journal = Dispatch::new(Registry::default().with(LevelFilter::OFF).with(layer));
    Ok(Box::new(move |record| replay(record, &journal)))
}

/// The most fields of an event (tracing-core's own limit).
const FIELDS: usize = 32;

/// Hands the event that a record was made of to `to`.
pub(super) fn replay(record: &Record, to: &Dispatch) {
    let values: Vec<(&Field, &dyn tracing::Value)> = record
        .fields
        .iter()
        .map(|(field, value)| {
            let value: &dyn tracing::Value = match value {
                Value::Text(text) => text,
                Value::Signed(number) => number,
                Value::Unsigned(number) => number,
                Value::Float(number) => number,
                Value::Truth(truth) => truth,
            };
            (field, value)
        })
        .collect();
    let Some((first, _)) = values.first() else {
        return;
    };
    // A set of values has a fixed size; a field without a value is passed over.
    let mut set: [(&Field, Option<&dyn tracing::Value>); FIELDS] = [(*first, None); FIELDS];
    for (place, (field, value)) in set.iter_mut().zip(&values) {
        *place = (*field, Some(*value));
    }
    let fields = record.metadata.fields().value_set(&set);
    to.event(&Event::new(record.metadata, &fields));
}
