//! `edit`: change an installed DAG in an editor. The daemon checks the new text before anything is replaced, and
//! nothing that was written is ever lost: what cannot be installed stays in a file that is named.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ask_once;
use super::run::read_text;
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::installed as render;
use crate::ctl::session::Session;
use crate::model::DagName;
use crate::sys::clock;
use crate::wire::control::{Request, Response};
use crate::wire::manage::{Install, SourceText};

/// Arguments of `edit`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// Name of the DAG
    #[arg(value_name = "NAME")]
    name: String,
}

/// The text as it is being edited, in a directory that nobody else can look into.
#[derive(Debug)]
struct Draft {
    dir: PathBuf,
    file: PathBuf,
}

/// Where drafts are made: where somebody says, else in his own state directory, which may have to be made. Not in /tmp: what
/// is kept there for somebody to go on with is gone at the next start of the machine, and the name is anybody's to take.
fn place(get: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Failure> {
    let get = |name: &str| get(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let there = ["XDG_RUNTIME_DIR", "TMPDIR"]
        .into_iter()
        .find_map(|name| get(name).filter(|dir| dir.is_dir()));
    if let Some(dir) = there {
        return Ok(dir);
    }
    let state = get("XDG_STATE_HOME").or_else(|| Some(get("HOME")?.join(".local/state")));
    let dir = state
        .ok_or_else(|| {
            Failure::usage("there is no place for the text: HOME is not set")
                .with_hint("name a directory of yours with TMPDIR")
        })?
        .join("proctor");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|error| Failure::file("make", &dir, &error))?;
    Ok(dir)
}

impl Draft {
    fn new(above: &Path, dag: &DagName, text: &str) -> Result<Self, Failure> {
        // Making it fails if somebody was there before, so it is ours whoever may write above.
        let name = format!("proctorctl-{dag}-{}-{}", std::process::id(), clock::boot_micros());
        let dir = above.join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(|error| Failure::file("make", &dir, &error))?;
        let file = dir.join(format!("{dag}.yaml"));
        let mut options = std::fs::OpenOptions::new();
        let written = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        let draft = Self { dir, file };
        if let Err(error) = written {
            draft.remove();
            return Err(Failure::file("write", &draft.file, &error));
        }
        Ok(draft)
    }

    /// The text is where it belongs: with the directory go the backups that editors make.
    fn remove(&self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }

    /// The failure, with the place of the text.
    fn keep(&self, mut failure: Failure) -> Failure {
        let kept = format!("your text is kept in {}", self.file.display());
        failure.hint = Some(match failure.hint {
            Some(hint) => format!("{hint}; {kept}"),
            None => kept,
        });
        failure
    }
}

/// The editor that somebody wants, as a piece of shell.
fn editor(get: impl Fn(&str) -> Option<OsString>) -> OsString {
    let wanted = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| get(name).filter(|value| !value.is_empty()));
    wanted.unwrap_or_else(|| OsString::from("vi"))
}

/// Has the file edited, until the editor is left.
fn edit(editor: &OsString, file: &Path) -> Result<(), Failure> {
    // As for other programs, the variable may hold arguments, too.
    let mut script = editor.clone();
    script.push(" \"$1\"");
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(script)
        .arg("sh")
        .arg(file)
        .status();
    let shown = editor.display();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::usage(format!(
            "the editor {shown} failed ({status}); nothing was installed"
        ))),
        Err(error) => Err(Failure::system(
            &format!("the editor {shown} cannot be started"),
            &error,
        )),
    }
}

/// Whether somebody at the terminal wants to go on after an error.
fn goes_on(call: &mut Call) -> bool {
    if !call.out.can_ask {
        return false;
    }
    call.out.raw(b"Edit it again? [Y/n] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let answer = answer.trim().to_ascii_lowercase();
    matches!(read, Ok(1..)) && (answer.is_empty() || answer == "y" || answer == "yes")
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let dag = DagName::new(args.name.as_str())?;
    let session = Session::open(&call.place)?;
    let Response::Source(source) = ask_once(session, &Request::Source(dag), call)? else {
        return Err(Failure::unexpected());
    };
    if !source.own {
        let text = format!("DAG {} is not yours: {}", source.dag, source.file);
        return Err(Failure::new(Exit::Denied, text).with_hint(
            "edit that file as root, or install a DAG of your own under another name; changes of the file are taken up at once",
        ));
    }
    let editor = editor(|name| std::env::var_os(name));
    let above = place(|name| std::env::var_os(name).filter(|value| !value.is_empty()))?;
    let draft = Draft::new(&above, &source.dag, &source.text)?;
    loop {
        if let Err(failure) = edit(&editor, &draft.file) {
            let same = read_text(&draft.file).is_ok_and(|text| text == source.text);
            if same {
                draft.remove();
                return Err(failure);
            }
            return Err(draft.keep(failure));
        }
        let text = read_text(&draft.file).map_err(|failure| draft.keep(failure))?;
        if text == source.text {
            draft.remove();
            unchanged(&source.dag, call);
            return Ok(Exit::Ok);
        }
        match put(&source, text, call) {
            Ok(exit) => {
                draft.remove();
                return Ok(exit);
            }
            Err(failure) if failure.exit == Exit::Usage && call.out.can_ask => {
                call.out.failure(&failure);
                if !goes_on(call) {
                    let failure = Failure::usage(format!("{} stays as it was", source.dag));
                    return Err(draft.keep(failure));
                }
            }
            Err(failure) => return Err(draft.keep(failure)),
        }
    }
}

/// The editor was left with the text as it was.
fn unchanged(dag: &DagName, call: &mut Call) {
    if call.out.json {
        call.out
            .object(&serde_json::json!({ "dag": dag, "changed": false }));
    } else {
        call.out.note(&format!("{dag} is unchanged"));
    }
}

/// Installs the new text in the place of the old one, if nobody else has changed that.
fn put(source: &SourceText, text: String, call: &mut Call) -> Result<Exit, Failure> {
    let install = Install {
        source: text,
        file: format!("{}.yaml", source.dag),
        stem: source.dag.to_string(),
        name: Some(source.dag.to_string()),
        // Those that came with the DAG stay.
        schemas: Vec::new(),
        replace: true,
        private: false,
        replaces: Some(source.hash.clone()),
    };
    let session = Session::open(&call.place)?;
    let request = Request::Install(Box::new(install));
    let Response::Dag(dag, warnings) = ask_once(session, &request, call)? else {
        return Err(Failure::unexpected());
    };
    for warning in &warnings {
        call.out.warning(warning);
    }
    if call.out.json {
        call.out.object(&render::changed(&dag, &warnings));
    } else {
        call.out.line(&format!("{} is changed", dag.dag));
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visual_goes_before_editor_and_vi_is_always_there() {
        let with = |visual: &str, other: &str| {
            let (visual, other) = (OsString::from(visual), OsString::from(other));
            editor(move |name| {
                Some(if name == "VISUAL" {
                    visual.clone()
                } else {
                    other.clone()
                })
            })
        };
        assert_eq!(with("emacs -nw", "ed"), "emacs -nw");
        assert_eq!(with("", "ed"), "ed");
        assert_eq!(with("", ""), "vi");
    }

    #[test]
    fn a_draft_is_private_and_goes_with_all_that_is_beside_it() {
        use std::os::unix::fs::PermissionsExt;
        let above = tempfile::tempdir().unwrap();
        let draft = Draft::new(above.path(), &DagName::new("d").unwrap(), "text").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&draft.dir), mode(&draft.file)), (0o700, 0o600));
        std::fs::write(draft.dir.join("d.yaml~"), "backup").unwrap();
        let kept = draft.keep(Failure::usage("wrong").with_hint("do it right"));
        let hint = kept.hint.unwrap();
        assert!(hint.starts_with("do it right; your text is kept in /"), "{hint}");
        draft.remove();
        assert!(!draft.dir.exists());
    }

    #[test]
    fn a_draft_is_made_where_somebody_says_or_at_home_and_never_where_all_may_write() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let at = |below: &str| dir.path().join(below);
        std::fs::create_dir(at("there")).unwrap();
        let with = |set: &[(&str, PathBuf)]| {
            let set: Vec<(String, PathBuf)> = set.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
            place(move |name| {
                let found = set.iter().find(|(known, _)| known == name)?;
                Some(found.1.clone().into_os_string())
            })
        };
        let (home, gone) = (("HOME", at("home")), ("XDG_RUNTIME_DIR", at("gone")));
        assert_eq!(
            with(&[home.clone(), ("TMPDIR", at("there"))]).unwrap(),
            at("there")
        );
        assert_eq!(
            with(&[gone.clone(), ("TMPDIR", "there".into()), home]).unwrap(),
            at("home/.local/state/proctor")
        );
        let made = at("home/.local/state/proctor").metadata().unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o700);
        assert_eq!(
            with(&[("XDG_STATE_HOME", at("state"))]).unwrap(),
            at("state/proctor")
        );
        let failure = with(&[gone]).unwrap_err();
        assert!(failure.message.contains("HOME is not set"), "{failure}");
    }

    #[test]
    fn an_editor_may_have_arguments_and_its_failure_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a file");
        std::fs::write(&file, "old\n").unwrap();
        assert_eq!(edit(&OsString::from("sed -i s/old/new/"), &file), Ok(()));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new\n");
        let failure = edit(&OsString::from("false"), &file).unwrap_err();
        assert!(failure.message.contains("the editor false failed"), "{failure}");
    }
}
