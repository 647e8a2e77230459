//! The time zone of the user: `TZ`, else that of the machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::dag::cron::Zone;
use crate::sys::timezone::{self, name_in};

/// What tells the zone.
#[derive(Debug, Clone)]
pub(super) struct ZoneEnv {
    /// `TZ`.
    pub(super) tz: Option<OsString>,
    /// The link to the rules of the machine's zone, `/etc/localtime` (localtime(5)).
    pub(super) link: PathBuf,
}

impl ZoneEnv {
    /// That of this process.
    pub(super) fn of_process() -> Self {
        Self {
            tz: std::env::var_os("TZ"),
            link: PathBuf::from(timezone::LOCALTIME),
        }
    }

    /// The zone. As for the C library, an empty `TZ` is UTC, and so is a machine without the link.
    pub(super) fn zone(&self) -> Result<Zone, Failure> {
        match &self.tz {
            Some(tz) => {
                let tz = tz.to_string_lossy();
                let written = tz.strip_prefix(':').unwrap_or(&tz);
                if written.is_empty() {
                    return Ok(Zone::UTC);
                }
                let name = name_in(Path::new(written)).unwrap_or_else(|| written.to_owned());
                named(&name, "TZ in the environment")
            }
            None => self.of_machine(),
        }
    }

    fn of_machine(&self) -> Result<Zone, Failure> {
        match timezone::of_machine(&self.link).map_err(unknown)? {
            Some(name) => named(&name, &self.link.display().to_string()),
            None => Ok(Zone::UTC),
        }
    }
}

/// The zone that was given with `--tz`.
pub(super) fn given(name: &str) -> Result<Zone, Failure> {
    Zone::named(name).map_err(|error| Failure::usage(error.to_string()).with_hint(error.hint()))
}

fn named(name: &str, from: &str) -> Result<Zone, Failure> {
    Zone::named(name).map_err(|error| unknown(format!("{error}, which {from} names")))
}

fn unknown(message: String) -> Failure {
    Failure::usage(message).with_hint("give --tz ZONE, such as --tz Europe/Berlin")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn env(tz: Option<&str>, link: PathBuf) -> ZoneEnv {
        ZoneEnv {
            tz: tz.map(OsString::from),
            link,
        }
    }

    #[test]
    fn tz_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("localtime");
        symlink("/usr/share/zoneinfo/Asia/Tokyo", &link).unwrap();
        for (tz, zone) in [
            (Some("Europe/Berlin"), "Europe/Berlin"),
            (Some(":Europe/Berlin"), "Europe/Berlin"),
            (Some(":/usr/share/zoneinfo/Europe/Berlin"), "Europe/Berlin"),
            (Some("EST5EDT"), "EST5EDT"),
            (Some(""), "UTC"),
            (Some(":"), "UTC"),
            (None, "Asia/Tokyo"),
        ] {
            assert_eq!(env(tz, link.clone()).zone().unwrap().name(), zone, "{tz:?}");
        }
    }

    #[test]
    fn the_link_tells_the_zone_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (target, zone) in [
            (
                "../usr/share/zoneinfo/America/Argentina/Ushuaia",
                "America/Argentina/Ushuaia",
            ),
            ("/usr/share/zoneinfo/posix/Asia/Tokyo", "Asia/Tokyo"),
            ("/usr/share/zoneinfo/UTC", "UTC"),
        ] {
            let link = at(&zone.replace('/', "-"));
            symlink(target, &link).unwrap();
            assert_eq!(env(None, link).zone().unwrap().name(), zone);
        }
        assert_eq!(env(None, at("absent")).zone(), Ok(Zone::UTC));
    }

    #[test]
    fn what_tells_no_zone_is_refused_with_a_cure() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "TZif").unwrap();
        symlink("/somewhere/Tokyo", at("elsewhere")).unwrap();
        symlink("/usr/share/zoneinfo/Mars/Olympus", at("mars")).unwrap();
        for (env, what) in [
            (
                env(Some("CET-1CEST,M3.5.0,M10.5.0"), at("file")),
                "TZ in the environment",
            ),
            (env(None, at("file")), "does not tell the time zone"),
            (env(None, at("elsewhere")), "it leads to /somewhere/Tokyo"),
            (env(None, at("mars")), "there is no time zone `Mars/Olympus`"),
        ] {
            let failure = env.zone().unwrap_err();
            assert!(failure.message.contains(what), "{failure:?}");
            assert!(failure.hint.unwrap().contains("--tz ZONE"));
        }
    }
}
