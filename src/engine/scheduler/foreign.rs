//! Entries of other writers in the proc directory: when they are taken for dead and removed (seed-spec 5.1).
//!
//! Such an entry has no other witness than its heartbeat, so patience stands in for certainty: it must be found stale
//! several times. No ruling changes a run's status: what became of the attempts of this daemon the kernel tells, and of
//! others it knows nothing. So the seed's rule for runs of remote workers (the entry goes, the status stays) holds for all.

/// How often in a row an entry must be found stale before it is removed. Together with a pause of half the age that makes
/// it stale between two looks these are the seed's three passes: a writer that was suspended with the machine beats again
/// meanwhile.
pub const LOOKS: u32 = 3;

/// What the store knows of the attempt that an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// The store could not be asked, or was not asked yet.
    Unknown,
    /// There is no such run.
    Missing,
    /// The run's newest attempt is another one.
    OtherAttempt,
    /// It is the run's newest attempt, and the run is not running.
    Over,
    /// It is the run's newest attempt, and the run is running: this daemon supervises it, with an entry of its own.
    Running,
}

/// All that is known of an entry at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Whether it is an entry of Proctor's, whose lock tells more than its heartbeat.
    pub own: bool,
    /// Whether its heartbeat or the time of its last change is young enough.
    pub fresh: bool,
    /// Whether another attempt of the same run is alive.
    pub sibling: bool,
    /// How often in a row it was found stale, with the same heartbeat and this look included.
    pub looks: u32,
    /// What the store knows of its attempt.
    pub record: Record,
}

/// Why an entry is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Another attempt of its run is alive.
    Superseded,
    /// Nobody knows its run.
    Orphan,
    /// Its run has a newer attempt.
    OtherAttempt,
    /// Its run is not running.
    Over,
    /// This daemon supervises the attempt that it names.
    Duplicate,
}

impl Reason {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "stale, and another attempt of its run is alive",
            Self::Orphan => "stale, and nothing is known of its run",
            Self::OtherAttempt => "stale, and not of the newest attempt of its run",
            Self::Over => "stale, and its run is not running",
            Self::Duplicate => "stale, and its attempt has an entry of this daemon",
        }
    }
}

/// What is to be done about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// Nothing, now and later: its heartbeat does not decide.
    Leave,
    /// It lives. Look again when it would be stale.
    Watch,
    /// It seems dead. Look again soon.
    Doubt,
    /// Remove it, if it is still as it was seen.
    Remove(Reason),
}

/// Judges. Total over all evidence; a test lists every combination.
#[must_use]
pub const fn judge(evidence: &Evidence) -> Ruling {
    if evidence.own {
        return Ruling::Leave;
    }
    if evidence.fresh {
        return Ruling::Watch;
    }
    if evidence.sibling {
        return Ruling::Remove(Reason::Superseded);
    }
    if evidence.looks < LOOKS {
        return Ruling::Doubt;
    }
    match evidence.record {
        Record::Unknown => Ruling::Doubt,
        Record::Missing => Ruling::Remove(Reason::Orphan),
        Record::OtherAttempt => Ruling::Remove(Reason::OtherAttempt),
        Record::Over => Ruling::Remove(Reason::Over),
        Record::Running => Ruling::Remove(Reason::Duplicate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: [(Record, Ruling); 5] = [
        (Record::Unknown, Ruling::Doubt),
        (Record::Missing, Ruling::Remove(Reason::Orphan)),
        (Record::OtherAttempt, Ruling::Remove(Reason::OtherAttempt)),
        (Record::Over, Ruling::Remove(Reason::Over)),
        (Record::Running, Ruling::Remove(Reason::Duplicate)),
    ];

    /// One row for own, fresh, sibling and looks; the last column is the ruling, or none where the record decides.
    #[rustfmt::skip]
    const ROWS: [(bool, bool, bool, u32, Option<Ruling>); 32] = {
        use Ruling::{Doubt, Leave, Remove, Watch};
        const DEAD: Ruling = Remove(Reason::Superseded);
        [
            (true,  true,  true,  0, Some(Leave)), (true,  true,  true,  1, Some(Leave)),
            (true,  true,  true,  2, Some(Leave)), (true,  true,  true,  3, Some(Leave)),
            (true,  true,  false, 0, Some(Leave)), (true,  true,  false, 1, Some(Leave)),
            (true,  true,  false, 2, Some(Leave)), (true,  true,  false, 3, Some(Leave)),
            (true,  false, true,  0, Some(Leave)), (true,  false, true,  1, Some(Leave)),
            (true,  false, true,  2, Some(Leave)), (true,  false, true,  3, Some(Leave)),
            (true,  false, false, 0, Some(Leave)), (true,  false, false, 1, Some(Leave)),
            (true,  false, false, 2, Some(Leave)), (true,  false, false, 3, Some(Leave)),
            (false, true,  true,  0, Some(Watch)), (false, true,  true,  1, Some(Watch)),
            (false, true,  true,  2, Some(Watch)), (false, true,  true,  3, Some(Watch)),
            (false, true,  false, 0, Some(Watch)), (false, true,  false, 1, Some(Watch)),
            (false, true,  false, 2, Some(Watch)), (false, true,  false, 3, Some(Watch)),
            (false, false, true,  0, Some(DEAD)),  (false, false, true,  1, Some(DEAD)),
            (false, false, true,  2, Some(DEAD)),  (false, false, true,  3, Some(DEAD)),
            (false, false, false, 0, Some(Doubt)), (false, false, false, 1, Some(Doubt)),
            (false, false, false, 2, Some(Doubt)), (false, false, false, 3, None),
        ]
    };

    #[test]
    fn every_combination_has_its_ruling() {
        let mut seen = std::collections::HashSet::new();
        for (own, fresh, sibling, looks, ruling) in ROWS {
            for (record, by_record) in RECORDS {
                let evidence = Evidence {
                    own,
                    fresh,
                    sibling,
                    looks,
                    record,
                };
                assert!(seen.insert(evidence), "twice: {evidence:?}");
                assert_eq!(judge(&evidence), ruling.unwrap_or(by_record), "{evidence:?}");
                // More looks than are needed are as good.
                let more = Evidence {
                    looks: looks.max(LOOKS) + 5,
                    ..evidence
                };
                let enough = Evidence {
                    looks: LOOKS,
                    ..evidence
                };
                assert_eq!(judge(&more), judge(&enough), "{more:?}");
            }
        }
        assert_eq!(seen.len(), 2 * 2 * 2 * 4 * 5);
    }
}
