//! Single times, as `at` of a schedule has them.

use super::schedule::Kind;
use super::{CronError, LocalTime, Moments, Zone, error, words, zone_before};
use crate::model::Time;

const FORMS: &str = "write `2026-11-23 08:30`, also with seconds, or RFC 3339: `2026-11-23T08:30:00+01:00`";

/// Reads a single time.
pub(super) fn read(text: &str, zone: Zone) -> Result<Kind, CronError> {
    let words = words(text);
    let (named, rest, errors) = zone_before(&words);
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    let zone = named.unwrap_or(zone);
    let column = rest.first().or(words.first()).map_or(1, |(column, _)| *column);
    let wrong = |message: String| CronError::new(column, message, FORMS);
    let time = match *rest {
        [] => return Err(wrong("there is no time".to_owned())),
        [(_, time)] => {
            if let Some(at) = Time::from_rfc3339(time) {
                return instant(at, zone).map_err(wrong);
            }
            time.split_once(['T', 't'])
        }
        [(_, date), (_, time)] => Some((date, time)),
        _ => None,
    };
    let local = time.and_then(|(date, time)| local(date, time));
    let Some(local) = local else {
        let time: Vec<&str> = rest.iter().map(|(_, word)| *word).collect();
        return Err(wrong(format!("{} is no time", error::shown(&time.join(" ")))));
    };
    let (at, wanted) = match zone.moments(local) {
        Moments::Once(at) => (at, None),
        Moments::Twice { first, .. } => (first, Some(local)),
        Moments::Skipped { resumes } => (resumes, Some(local)),
    };
    Ok(Kind::Once { at, zone, wanted })
}

/// A scheduled time is a whole second, because it names its run.
fn instant(at: Time, zone: Zone) -> Result<Kind, String> {
    if at == Time::from_secs(at.secs()) {
        Ok(Kind::Once {
            at,
            zone,
            wanted: None,
        })
    } else {
        Err("a scheduled time is a whole second".to_owned())
    }
}

/// `2026-11-23` and `08:30` or `08:30:15`, each number with all of its digits.
fn local(date: &str, time: &str) -> Option<LocalTime> {
    let number = |text: &str, digits: usize| {
        let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| text.parse::<u32>().ok())?
    };
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let mut time = time.split(':');
    let (hour, minute, second) = (time.next()?, time.next()?, time.next());
    if date.next().is_some() || time.next().is_some() {
        return None;
    }
    let year = i32::try_from(number(year, 4)?).ok()?;
    let minute = LocalTime::new(
        year,
        number(month, 2)?,
        number(day, 2)?,
        number(hour, 2)?,
        number(minute, 2)?,
    )?;
    minute.with_second(second.map_or(Some(0), |second| number(second, 2))?)
}
