//! What an attempt may use: limits of its cgroup and of its processes, and what else its processes begin with.
//!
//! A value that is absent says nothing: then the configuration says it, or the daemon's own value stays.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that may stand for no limit, which is more than any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Amount {
    /// So many.
    Of(u64),
    /// No limit.
    Max,
}

impl Amount {
    /// Reads a number with or without the unit K, M, G or T (powers of 1024, in either case), or `max`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "max" {
            return Some(Self::Max);
        }
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match text.get(digits.len()..)?.to_ascii_uppercase().as_str() {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return None,
        };
        // `parse` would take a sign.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let factor = 1u64 << shift;
        digits.parse::<u64>().ok()?.checked_mul(factor).map(Self::Of)
    }

    /// The number, if there is a limit.
    #[must_use]
    pub const fn number(self) -> Option<u64> {
        match self {
            Self::Of(number) => Some(number),
            Self::Max => None,
        }
    }

    /// A number of bytes as people write it: with the largest unit that leaves it whole.
    #[must_use]
    pub fn as_size(self) -> String {
        let Self::Of(bytes) = self else {
            return self.to_string();
        };
        let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
        let fits = |(shift, _): &(u32, &str)| bytes != 0 && bytes.trailing_zeros() >= *shift;
        match units.into_iter().find(fits) {
            Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
            None => bytes.to_string(),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(number) => write!(f, "{number}"),
            Self::Max => f.write_str("max"),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Of(number) => to.serialize_u64(*number),
            Self::Max => to.serialize_str("max"),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Word(String),
        }
        match Written::deserialize(from)? {
            Written::Number(number) => Ok(Self::Of(number)),
            Written::Word(word) if word == "max" => Ok(Self::Max),
            Written::Word(_) => Err(D::Error::custom("expected a number or `max`")),
        }
    }
}

/// A limit of each process, or of the processes of a user (setrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rlimit {
    /// Address space, bytes.
    #[serde(rename = "as")]
    AddressSpace,
    /// Core dump size, bytes.
    #[serde(rename = "core")]
    Core,
    /// CPU time, seconds.
    #[serde(rename = "cpu")]
    Cpu,
    /// Data segment, bytes.
    #[serde(rename = "data")]
    Data,
    /// File size, bytes.
    #[serde(rename = "fsize")]
    FileSize,
    /// File locks; Linux ignores it.
    #[serde(rename = "locks")]
    Locks,
    /// Locked memory, bytes.
    #[serde(rename = "memlock")]
    LockedMemory,
    /// POSIX message queues of the user, bytes.
    #[serde(rename = "msgqueue")]
    MessageQueues,
    /// Descriptor numbers.
    #[serde(rename = "nofile")]
    OpenFiles,
    /// Processes and threads of the user.
    #[serde(rename = "nproc")]
    Processes,
    /// Signals of the user that are queued.
    #[serde(rename = "sigpending")]
    PendingSignals,
    /// Stack, bytes.
    #[serde(rename = "stack")]
    Stack,
}

impl Rlimit {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 12] = [
        Self::AddressSpace,
        Self::Core,
        Self::Cpu,
        Self::Data,
        Self::FileSize,
        Self::Locks,
        Self::LockedMemory,
        Self::MessageQueues,
        Self::OpenFiles,
        Self::Processes,
        Self::PendingSignals,
        Self::Stack,
    ];
    /// Their names.
    pub const NAMES: [&str; 12] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nofile",
        "nproc",
        "sigpending",
        "stack",
    ];

    /// Its name, as limits.conf(5) has it: that of the constant in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let all = Self::ALL.into_iter().zip(Self::NAMES);
        all.into_iter()
            .find(|(limit, _)| *limit == self)
            .map_or("", |(_, name)| name)
    }

    /// The limit of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter().zip(Self::NAMES);
        all.find(|(_, known)| *known == name).map(|(limit, _)| limit)
    }

    /// Whether it counts bytes.
    #[must_use]
    pub const fn is_size(self) -> bool {
        !matches!(
            self,
            Self::Cpu | Self::Locks | Self::OpenFiles | Self::Processes | Self::PendingSignals
        )
    }
}

/// The two values of a limit of processes. One that is absent stays as it is, but the soft one is never above the hard one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RlimitPair {
    /// What counts; the process may change it up to the hard one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft: Option<Amount>,
    /// What the process can only lower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard: Option<Amount>,
}

/// What an attempt may use and begins with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Memory in bytes beyond which the attempt is killed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<Amount>,
    /// Memory in bytes beyond which the attempt is slowed down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_high: Option<Amount>,
    /// Swap space in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_max: Option<Amount>,
    /// Share of the CPUs among others that want them; 1 to 10000, the kernel's default is 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_weight: Option<u32>,
    /// CPU time in percent of one CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_max: Option<Amount>,
    /// Share of disks among others that want them; 1 to 10000, the kernel's default is 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_weight: Option<u32>,
    /// Processes and threads at a time, the attempt's supervisor included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_max: Option<Amount>,
    /// Nice value, -20 (first) to 19 (last).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// File mode creation mask.
    #[serde(skip_serializing_if = "Option::is_none", with = "octal")]
    pub umask: Option<u32>,
    /// Limits of processes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rlimits: BTreeMap<Rlimit, RlimitPair>,
}

/// A weight of controllers that nobody has changed.
pub const WEIGHT_DEFAULT: u32 = 100;
/// The least memory that an attempt can do with: its supervisor needs some of it.
pub const MEMORY_MIN: u64 = 4 << 20;
/// The least processes: the supervisor and one step.
pub const PIDS_MIN: u64 = 2;
/// The most processes that the kernel counts (`PID_MAX_LIMIT`); a cgroup takes no larger limit.
pub const PIDS_MAX: u64 = 4_194_304;

/// Modes are written in octal digits.
mod octal {
    use super::{Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(mode: &Option<u32>, to: S) -> Result<S::Ok, S::Error> {
        match mode {
            Some(mode) => to.serialize_str(&format!("{mode:03o}")),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| u32::from_str_radix(&text, 8).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_of_1024() {
        for (text, amount) in [
            ("0", 0),
            ("1", 1),
            ("3K", 3072),
            ("3k", 3072),
            ("512M", 512 << 20),
            ("2G", 2 << 30),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(Amount::parse(text), Some(Amount::Of(amount)), "{text}");
        }
        assert_eq!(Amount::parse("max"), Some(Amount::Max));
        for text in [
            "",
            "K",
            "-1",
            "+1",
            "1.5G",
            "1 G",
            "1KB",
            "1P",
            "Max",
            "16777216T",
            "1\u{e9}",
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
        assert!(Amount::Of(u64::MAX) < Amount::Max);
    }

    #[test]
    fn amounts_are_shown_in_the_largest_unit_that_fits() {
        for text in ["0", "1", "1023", "3K", "1025K", "512M", "2G", "1T", "max"] {
            assert_eq!(Amount::parse(text).unwrap().as_size(), text);
        }
    }

    #[test]
    fn every_limit_of_processes_has_its_name() {
        for (limit, name) in Rlimit::ALL.into_iter().zip(Rlimit::NAMES) {
            assert_eq!(limit.as_str(), name);
            assert_eq!(Rlimit::from_name(name), Some(limit));
            assert_eq!(serde_json::to_value(limit).unwrap(), name, "as it is stored");
        }
        assert_eq!(Rlimit::from_name("nice"), None);
    }

    #[test]
    fn what_is_recorded_is_read_back_and_what_is_not_said_takes_no_room() {
        assert_eq!(serde_json::to_string(&Resources::default()).unwrap(), "{}");
        let pair = RlimitPair {
            soft: Some(Amount::Of(64)),
            hard: Some(Amount::Max),
        };
        let all = Resources {
            memory_max: Some(Amount::Of(1 << 30)),
            swap_max: Some(Amount::Max),
            cpu_weight: Some(7),
            nice: Some(-5),
            umask: Some(0o027),
            rlimits: [(Rlimit::OpenFiles, pair)].into(),
            ..Resources::default()
        };
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(
            text,
            r#"{"memory_max":1073741824,"swap_max":"max","cpu_weight":7,"nice":-5,"umask":"027","rlimits":{"nofile":{"soft":64,"hard":"max"}}}"#
        );
        assert_eq!(serde_json::from_str::<Resources>(&text).unwrap(), all);
    }
}
