//! The time zone of schedules that name none.

use std::path::Path;

use crate::config::Config;
use crate::dag::cron::Zone;
use crate::sys::timezone;

/// The zone, or why nobody can tell what the machine's is. Then only schedules that name their zone count.
pub(in crate::daemon) type DefaultZone = Result<Zone, String>;

/// The zone of schedules that name none: the configured one, else that of the machine.
///
/// # Errors
/// In words, if there is no zone of the configured name.
pub(in crate::daemon) fn zone_of(config: &Config) -> Result<DefaultZone, String> {
    let name = &config.schedule.time_zone;
    if name.is_empty() {
        return Ok(of_machine(Path::new(timezone::LOCALTIME)));
    }
    match Zone::named(name) {
        Ok(zone) => Ok(Ok(zone)),
        Err(error) => Err(format!("schedule.time_zone: {error}; {}", error.hint())),
    }
}

fn of_machine(link: &Path) -> DefaultZone {
    match timezone::of_machine(link)? {
        Some(name) => Zone::named(&name).map_err(|error| format!("{error}, which {} names", link.display())),
        None => Ok(Zone::UTC),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_configured_zone_that_does_not_exist_is_an_error() {
        let mut config = Config::defaults(Path::new("/nowhere"));
        "Europe/Berlin".clone_into(&mut config.schedule.time_zone);
        assert_eq!(
            zone_of(&config),
            Ok(Zone::named("Europe/Berlin").map_err(|_| String::new()))
        );
        "Mars/Olympus".clone_into(&mut config.schedule.time_zone);
        assert!(zone_of(&config).unwrap_err().contains("Mars/Olympus"));
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("localtime");
        assert_eq!(of_machine(&link), Ok(Zone::UTC), "there is none");
        std::fs::write(&link, "TZif").unwrap();
        assert!(
            of_machine(&link)
                .unwrap_err()
                .contains("it is a file, not a link")
        );
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("/usr/share/zoneinfo/Mars/Olympus", &link).unwrap();
        assert!(of_machine(&link).unwrap_err().contains("Mars/Olympus"));
    }
}
