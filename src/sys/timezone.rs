//! Which time zone the machine is set to. Its rules are not read: the program has a database of its own.

use std::path::Path;

/// The link to the rules of the machine's zone (localtime(5)).
pub const LOCALTIME: &str = "/etc/localtime";

/// Name of the zone that the link tells; `None` if there is no link, which means UTC.
///
/// # Errors
/// In words, if the link tells no zone.
pub fn of_machine(link: &Path) -> Result<Option<String>, String> {
    let shown = link.display();
    let target = match std::fs::read_link(link) {
        Ok(target) => target,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // The kernel's words for it are of no use. Containers often have it so.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            return Err(format!(
                "{shown} does not tell the time zone: it is a file, not a link to one of the zone database"
            ));
        }
        Err(error) => return Err(format!("{shown} does not tell the time zone: {error}")),
    };
    let name = name_in(&target).ok_or_else(|| {
        let target = target.display();
        format!("{shown} does not tell the time zone: it leads to {target}")
    })?;
    Ok(Some(name))
}

/// Name of the zone whose rules lie at a path of the zone database.
#[must_use]
pub fn name_in(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    let (_, name) = path.rsplit_once("/zoneinfo/")?;
    let plain = ["posix/", "right/"]
        .iter()
        .find_map(|kind| name.strip_prefix(kind));
    Some(plain.unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_link_tells_the_zone_if_it_leads_into_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        symlink("../usr/share/zoneinfo/posix/Asia/Tokyo", at("tokyo")).unwrap();
        symlink("/somewhere/Tokyo", at("elsewhere")).unwrap();
        assert_eq!(of_machine(&at("tokyo")), Ok(Some("Asia/Tokyo".to_owned())));
        assert_eq!(of_machine(&at("absent")), Ok(None));
        let error = of_machine(&at("elsewhere")).unwrap_err();
        assert!(error.contains("it leads to /somewhere/Tokyo"), "{error}");
        std::fs::write(at("file"), "TZif").unwrap();
        let error = of_machine(&at("file")).unwrap_err();
        assert!(error.contains("it is a file, not a link"), "{error}");
    }
}
