//! What is known of the watched folders: which descriptors lead into them, and which changes are not durable yet.
//!
//! Everything here happens under one lock, so that the journal has the order of the changes. It calls nothing but the
//! system ([`crate::system`]) and keeps ordered maps: no run of a simulation may depend on where a map puts things.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use libc::c_int;

use crate::journal::{Inode, Journal, Record, grave_name};
use crate::system::{self, Outcome};

/// Descriptors beyond this are not followed; no process here has so many.
const DESCRIPTORS_MAX: usize = 64 * 1024;

/// A watched folder.
pub(crate) struct Root {
    path: PathBuf,
    journal: Journal,
    /// With changes that are not durable.
    files: BTreeSet<Inode>,
    /// The same, and the graves that go when their names are durable.
    folders: BTreeMap<Inode, Vec<u64>>,
    next_grave: u64,
    /// Whether the journal has what another process left.
    has_inherited: bool,
    changes: u64,
    crash_at: Option<u64>,
    has_crashed: bool,
    /// Whether the process ends when the disk fails.
    dies: bool,
    /// Whether nothing is ever durable.
    forgets: bool,
}

/// An open file or folder below a root.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) root: PathBuf,
    pub(crate) device: libc::dev_t,
    pub(crate) inode: Inode,
    pub(crate) is_folder: bool,
    pub(crate) appends: bool,
    pub(crate) syncs: bool,
}

#[derive(Default)]
pub(crate) struct State {
    roots: BTreeMap<PathBuf, Root>,
    opened: BTreeMap<c_int, Opened>,
}

static STATE: Mutex<State> = Mutex::new(State {
    roots: BTreeMap::new(),
    opened: BTreeMap::new(),
});
static IS_ACTIVE: AtomicBool = AtomicBool::new(false);
static FROM_ENVIRONMENT: Once = Once::new();
/// One bit for each descriptor that is followed.
static FOLLOWED: [AtomicU64; DESCRIPTORS_MAX / 64] =
    [const { AtomicU64::new(0) }; DESCRIPTORS_MAX / 64];

thread_local! {
    static LOOKS_AWAY: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose calls on files are not watched.
pub fn looking_away<T>(work: impl FnOnce() -> T) -> T {
    let before = LOOKS_AWAY.replace(true);
    let result = work();
    LOOKS_AWAY.set(before);
    result
}

/// Whether calls have to be looked at.
pub(crate) fn is_active() -> bool {
    FROM_ENVIRONMENT.call_once(|| {
        let root = std::env::var_os(crate::ROOT_VARIABLE);
        let journal = std::env::var_os(crate::JOURNAL_VARIABLE);
        if let (Some(root), Some(journal)) = (root, journal) {
            watch(Path::new(&root), Path::new(&journal));
            let die_after = std::env::var(crate::DIE_AFTER_VARIABLE).ok();
            let forgets = std::env::var_os(crate::FORGETS_VARIABLE).is_some();
            with_root(Path::new(&root), |root| {
                root.crash_at = die_after.and_then(|number| number.parse().ok());
                root.dies = root.crash_at.is_some();
                root.forgets = forgets;
            });
        }
    });
    IS_ACTIVE.load(Ordering::Relaxed) && !LOOKS_AWAY.try_with(Cell::get).unwrap_or(true)
}

pub(crate) fn is_followed(fd: c_int) -> bool {
    let Ok(at) = usize::try_from(fd) else {
        return false;
    };
    let word = FOLLOWED.get(at / 64);
    word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (at % 64)) != 0)
        && !LOOKS_AWAY.try_with(Cell::get).unwrap_or(true)
}

fn mark(fd: c_int, is_followed: bool) {
    let at = usize::try_from(fd).unwrap_or(DESCRIPTORS_MAX);
    let Some(word) = FOLLOWED.get(at / 64) else {
        return;
    };
    if is_followed {
        word.fetch_or(1 << (at % 64), Ordering::Relaxed);
    } else {
        word.fetch_and(!(1 << (at % 64)), Ordering::Relaxed);
    }
}

pub(crate) fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches a folder, whose whole path this is, from now on.
///
/// # Panics
/// When the journal cannot be made: a disk that is not watched would prove nothing.
pub fn watch(root: &Path, journal: &Path) {
    let open = Journal::open(journal).expect("the journal can be made");
    let inherited = system::stat_at(libc::AT_FDCWD, &system::c_path(journal));
    let watched = Root {
        path: root.to_owned(),
        journal: open,
        files: BTreeSet::new(),
        folders: BTreeMap::new(),
        next_grave: u64::from(std::process::id()) << 32,
        has_inherited: inherited.is_ok_and(|found| found.st_size > 0),
        changes: 0,
        crash_at: None,
        has_crashed: false,
        dies: false,
        forgets: false,
    };
    lock().roots.insert(root.to_owned(), watched);
    IS_ACTIVE.store(true, Ordering::Relaxed);
}

/// Watches it no more.
pub fn unwatch(root: &Path) {
    let mut state = lock();
    if let Some(root) = state.roots.remove(root) {
        root.journal.close();
    }
    let gone: Vec<c_int> = state
        .opened
        .iter()
        .filter(|(_, opened)| opened.root == root)
        .map(|(fd, _)| *fd)
        .collect();
    for fd in gone {
        state.opened.remove(&fd);
        mark(fd, false);
    }
}

fn with_root<T>(root: &Path, act: impl FnOnce(&mut Root) -> T) -> Option<T> {
    lock().roots.get_mut(root).map(act)
}

/// From the given number of changes and syncs on, counted from now, the disk fails: the process that uses it is as good
/// as dead.
pub fn crash_after(root: &Path, changes: u64) {
    with_root(root, |root| root.crash_at = Some(root.changes + changes));
}

/// The disk fails from now on.
pub fn crash(root: &Path) {
    with_root(root, |root| root.has_crashed = true);
}

/// The disk does not fail any more by [`crash_after`], unless it has already.
pub fn steady(root: &Path) {
    with_root(root, |root| root.crash_at = None);
}

/// Whether the disk fails.
#[must_use]
pub fn has_crashed(root: &Path) -> bool {
    with_root(root, |root| root.has_crashed).unwrap_or(false)
}

/// How many changes and syncs there were.
#[must_use]
pub fn mutations(root: &Path) -> u64 {
    with_root(root, |root| root.changes).unwrap_or(0)
}

/// The disk works again. What the dead process had open still does not.
pub fn revive(root: &Path) {
    let mut state = lock();
    if let Some(root) = state.roots.get_mut(root) {
        root.has_crashed = false;
        root.crash_at = None;
    }
}

/// The power is back: nothing of before is open, and everything that is there is durable.
pub(crate) fn forget_changes(root: &Path) {
    with_root(root, |root| {
        root.files.clear();
        root.folders.clear();
        root.has_inherited = false;
    });
}

impl State {
    /// The root that a path lies below.
    pub(crate) fn root_above(&mut self, path: &Path) -> Option<&mut Root> {
        self.roots
            .values_mut()
            .find(|root| path.starts_with(&root.path))
    }

    /// What a descriptor leads to. The C library closes some past this one, as those of folders that were read
    /// (`closedir`): its number may be somebody else's by now, a connection's for example.
    pub(crate) fn opened(&mut self, fd: c_int) -> Option<(Opened, &mut Root)> {
        let opened = self.opened.get(&fd)?.clone();
        let is_it =
            |found: libc::stat| (found.st_dev, found.st_ino) == (opened.device, opened.inode);
        if !system::stat_of(fd).is_ok_and(is_it) {
            self.leave(fd);
            return None;
        }
        let root = self.roots.get_mut(&opened.root)?;
        Some((opened, root))
    }

    pub(crate) fn follow(&mut self, fd: c_int, opened: Opened) {
        self.opened.insert(fd, opened);
        mark(fd, true);
    }

    pub(crate) fn follow_as(&mut self, fd: c_int, other: c_int) {
        if let Some((opened, _)) = self.opened(fd) {
            self.follow(other, opened);
        }
    }

    pub(crate) fn leave(&mut self, fd: c_int) {
        self.opened.remove(&fd);
        mark(fd, false);
    }
}

/// A name in a folder, both as the system has them.
pub(crate) struct Name {
    pub(crate) folder: Inode,
    pub(crate) name: Vec<u8>,
}

/// Where a path leads: its folder and its last part. `None` when the folder is not there.
pub(crate) fn name_of(path: &Path) -> Option<Name> {
    let parent = path.parent()?;
    let found = system::open(
        &system::c_path(parent),
        libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
        0,
    );
    let fd = found.ok()?;
    let folder = system::stat_of(fd);
    system::close(fd);
    Some(Name {
        folder: folder.ok()?.st_ino,
        name: path.file_name()?.as_bytes().to_vec(),
    })
}

/// The whole path that a call means.
pub(crate) fn whole_path(dir: c_int, path: &CStr) -> Option<PathBuf> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    Some(system::path_of(dir)?.join(path))
}

impl Root {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A change or a sync comes: it is counted, and may be one too many.
    pub(crate) fn changes(&mut self) -> Outcome<()> {
        self.changes += 1;
        if self.crash_at.is_some_and(|at| self.changes > at) {
            self.has_crashed = true;
            if self.dies {
                system::die();
            }
        }
        self.works()
    }

    pub(crate) fn works(&self) -> Outcome<()> {
        if self.has_crashed {
            Err(libc::EIO)
        } else {
            Ok(())
        }
    }

    /// Bytes are about to be written.
    pub(crate) fn before_write(
        &mut self,
        fd: c_int,
        file: Inode,
        at: u64,
        len: u64,
    ) -> Outcome<()> {
        let size = system::stat_of(fd)?.st_size as u64;
        let there = size.saturating_sub(at).min(len);
        let old = old_bytes(fd, at, there);
        self.files.insert(file);
        self.journal.add(&Record::Wrote {
            file,
            at,
            len,
            size,
            old,
        });
        Ok(())
    }

    /// The file is about to have another size.
    pub(crate) fn before_cut(&mut self, fd: c_int, file: Inode, new: u64) -> Outcome<()> {
        let size = system::stat_of(fd)?.st_size as u64;
        if size == new {
            return Ok(());
        }
        let old = old_bytes(fd, new, size.saturating_sub(new));
        self.files.insert(file);
        self.journal.add(&Record::Cut {
            file,
            new,
            size,
            old,
        });
        Ok(())
    }

    pub(crate) fn synced(&mut self, opened: &Opened) {
        if self.forgets {
            return;
        }
        if opened.is_folder {
            let graves = self.folders.remove(&opened.inode);
            if graves.is_some() || self.has_inherited {
                let folder = opened.inode;
                self.journal.add(&Record::FolderSynced { folder });
            }
            for grave in graves.into_iter().flatten() {
                let _ = system::unlink_at(self.journal.graves, &grave_name(grave), false);
            }
        } else if self.files.remove(&opened.inode) || self.has_inherited {
            let file = opened.inode;
            self.journal.add(&Record::Synced { file });
        }
        if self.files.is_empty() && self.folders.is_empty() && !self.has_inherited {
            self.journal.clear();
        }
    }

    /// A name is there that was not.
    pub(crate) fn named(&mut self, name: Name, what: Inode, is_folder: bool, is_new: bool) {
        if is_new {
            self.files.remove(&what);
            self.journal.add(&Record::Begins { file: what });
        }
        self.folders.entry(name.folder).or_default();
        self.journal.add(&Record::Named {
            folder: name.folder,
            name: name.name,
            what,
            is_folder,
        });
    }

    /// A name is about to be gone.
    pub(crate) fn before_unname(&mut self, path: &CStr, name: Name, what: &libc::stat) {
        let grave = if system::is_folder(what) {
            None
        } else {
            self.bury(path)
        };
        let folder = self.folders.entry(name.folder).or_default();
        folder.extend(grave);
        self.journal.add(&Record::Unnamed {
            folder: name.folder,
            name: name.name,
            what: what.st_ino,
            grave,
        });
    }

    /// A name is about to become another.
    pub(crate) fn before_rename(&mut self, what: Inode, name: Name, target: &CStr, other: Name) {
        let replaced = system::stat_at(libc::AT_FDCWD, target);
        let grave = match replaced {
            Ok(found) if !system::is_folder(&found) && found.st_ino != what => self.bury(target),
            _ => None,
        };
        self.folders.entry(name.folder).or_default();
        self.folders.entry(other.folder).or_default().extend(grave);
        self.journal.add(&Record::Renamed {
            from: name.folder,
            name: name.name,
            to: other.folder,
            other: other.name,
            what,
            grave,
        });
    }

    /// Keeps a file whose name goes.
    fn bury(&mut self, path: &CStr) -> Option<u64> {
        let grave = self.next_grave;
        self.next_grave += 1;
        let name = grave_name(grave);
        let kept = system::link_at(libc::AT_FDCWD, path, self.journal.graves, &name);
        kept.ok().map(|()| grave)
    }
}

/// What a descriptor's file holds, whether or not it may be read by it.
fn old_bytes(fd: c_int, at: u64, len: u64) -> Vec<u8> {
    let len = usize::try_from(len).unwrap_or(0);
    if len == 0 {
        return Vec::new();
    }
    if let Ok(bytes) = system::read_at(fd, at, len) {
        return bytes;
    }
    // It was opened for writing only.
    let path = std::ffi::CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let Ok(reader) = system::open(&path, libc::O_RDONLY | libc::O_CLOEXEC, 0) else {
        return Vec::new();
    };
    let bytes = system::read_at(reader, at, len).unwrap_or_default();
    system::close(reader);
    bytes
}
