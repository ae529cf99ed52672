//! What a power failure leaves: everything that is durable, and of the rest nothing, or a random part.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::SECTOR_BYTES;
use crate::journal::{self, Inode, Record, grave_name};
use crate::watched;

/// What of the changes that are not durable survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// No byte, no name, no size.
    Nothing,
    /// Every name, and no byte and no size.
    Names,
    /// The first of the names, and sectors of any of the writes, chosen by this seed.
    Some(u64),
}

/// What was taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Writes and changes of size that were not durable.
    pub writes: usize,
    /// Names that were not durable.
    pub names: usize,
}

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// Takes back what is not durable below a root whose process is dead, by its journal, which is empty afterwards.
///
/// # Errors
/// When the files cannot be changed.
pub fn lose_power(root: &Path, journal: &Path, survives: Survives) -> io::Result<Lost> {
    let lost = watched::looking_away(|| lose(root, journal, survives))?;
    watched::forget_changes(root);
    Ok(lost)
}

fn lose(root: &Path, journal_path: &Path, survives: Survives) -> io::Result<Lost> {
    let records = match fs::read(journal_path) {
        Ok(bytes) => journal::read(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lost::default()),
        Err(error) => return Err(error),
    };
    let (writes, names) = volatile(records);
    let graves = journal::graves(journal_path);
    let mut dice = match survives {
        Survives::Nothing | Survives::Names => None,
        Survives::Some(seed) => Some(Dice(seed)),
    };
    let mut places = Places::default();
    places.look(root)?;
    places.look(&graves)?;
    take_back_writes(&writes, &places, dice.as_mut())?;
    let kept = match (&mut dice, survives) {
        (Some(dice), _) => usize::try_from(dice.below(names.len() as u64 + 1)).unwrap_or(0),
        (None, Survives::Names) => names.len(),
        (None, _) => 0,
    };
    for record in names[kept..].iter().rev() {
        take_back_name(record, root, &graves, &mut places)?;
    }
    let lost = Lost {
        writes: writes.len(),
        names: names.len() - kept,
    };
    for grave in fs::read_dir(&graves)? {
        fs::remove_file(grave?.path())?;
    }
    // Emptied in place: whoever watches has it open.
    File::options().write(true).open(journal_path)?.set_len(0)?;
    Ok(lost)
}

/// The records that no sync covers: of bytes and sizes, and of names.
fn volatile(records: Vec<Record>) -> (Vec<Record>, Vec<Record>) {
    let (mut writes, mut names): (Vec<Record>, Vec<Record>) = (Vec::new(), Vec::new());
    for record in records {
        match record {
            Record::Wrote { .. } | Record::Cut { .. } => writes.push(record),
            Record::Synced { file } | Record::Begins { file } => {
                writes.retain(|record| of_file(record) != Some(file));
            }
            Record::FolderSynced { folder } => names.retain(|record| match record {
                Record::Named { folder: of, .. } | Record::Unnamed { folder: of, .. } => {
                    *of != folder
                }
                Record::Renamed { from, to, .. } => *from != folder && *to != folder,
                _ => true,
            }),
            Record::Named { .. } | Record::Unnamed { .. } | Record::Renamed { .. } => {
                names.push(record);
            }
        }
    }
    (writes, names)
}

fn of_file(record: &Record) -> Option<Inode> {
    match record {
        Record::Wrote { file, .. } | Record::Cut { file, .. } => Some(*file),
        _ => None,
    }
}

/// Where files and folders are.
#[derive(Default)]
struct Places(BTreeMap<Inode, PathBuf>);

impl Places {
    fn look(&mut self, folder: &Path) -> io::Result<()> {
        self.0
            .insert(fs::metadata(folder)?.ino(), folder.to_owned());
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_dir() {
                self.look(&entry.path())?;
            } else {
                self.0.insert(found.ino(), entry.path());
            }
        }
        Ok(())
    }

    fn of(&self, inode: Inode, name: &[u8]) -> Option<PathBuf> {
        Some(self.0.get(&inode)?.join(OsStr::from_bytes(name)))
    }
}

fn take_back_writes(
    writes: &[Record],
    places: &Places,
    mut dice: Option<&mut Dice>,
) -> io::Result<()> {
    let mut fates: BTreeMap<Inode, Fate> = BTreeMap::new();
    // How likely a sector is to survive: sometimes none does, sometimes all do.
    let kept_in_4 = dice.as_deref_mut().map_or(0, |dice| dice.below(5));
    for record in writes.iter().rev() {
        let Some(file) = of_file(record) else {
            continue;
        };
        let fate = match fates.entry(file) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let size_survives = dice.as_deref_mut().is_some_and(|dice| dice.below(2) == 0);
                entry.insert(Fate::of(places.0.get(&file), size_survives)?)
            }
        };
        match (&mut dice, fate.size_survives) {
            (Some(dice), true) => fate.take_back_some(record, dice, kept_in_4)?,
            _ => fate.take_back(record)?,
        }
    }
    Ok(())
}

/// What becomes of one file.
struct Fate {
    /// `None` when nothing leads to it any more.
    file: Option<File>,
    size_survives: bool,
    settled: BTreeSet<u64>,
}

impl Fate {
    fn of(path: Option<&PathBuf>, size_survives: bool) -> io::Result<Fate> {
        let open = |path| File::options().read(true).write(true).open(path);
        Ok(Fate {
            file: path.map(open).transpose()?,
            size_survives,
            settled: BTreeSet::new(),
        })
    }

    /// Makes it as it was before the change.
    fn take_back(&self, record: &Record) -> io::Result<()> {
        let Some(open) = &self.file else {
            return Ok(());
        };
        match record {
            Record::Wrote { at, size, old, .. } => {
                open.set_len(*size)?;
                open.write_all_at(old, *at)
            }
            Record::Cut { new, size, old, .. } => {
                open.set_len(*size)?;
                open.write_all_at(old, *new)
            }
            _ => Ok(()),
        }
    }

    /// The same for those sectors that do not survive; the size does.
    fn take_back_some(&mut self, record: &Record, dice: &mut Dice, in_4: u64) -> io::Result<()> {
        let Record::Wrote { at, len, old, .. } = record else {
            return Ok(());
        };
        let size = match &self.file {
            Some(file) => file.metadata()?.len(),
            None => 0,
        };
        let end = at + len;
        let mut from = *at;
        while from < end {
            let sector = from / SECTOR_BYTES;
            let to = end.min((sector + 1) * SECTOR_BYTES);
            let survives = dice.below(4) < in_4;
            if survives {
                self.settled.insert(sector);
            } else if !self.settled.contains(&sector)
                && let Some(open) = &self.file
            {
                let before: Vec<u8> = (from..to.min(size))
                    .map(|place| {
                        let within = usize::try_from(place - at).unwrap_or(usize::MAX);
                        old.get(within).copied().unwrap_or(0)
                    })
                    .collect();
                open.write_all_at(&before, from)?;
            }
            from = to;
        }
        Ok(())
    }
}

fn inode_at(path: &Path) -> Option<Inode> {
    fs::symlink_metadata(path).ok().map(|found| found.ino())
}

fn grave_path(graves: &Path, grave: u64) -> PathBuf {
    graves.join(OsStr::from_bytes(grave_name(grave).as_bytes()))
}

/// Names one of the kept files again, unless its name was never gone.
fn bring_back(path: &Path, graves: &Path, grave: Option<u64>) -> io::Result<()> {
    let Some(grave) = grave else {
        return Ok(());
    };
    match fs::hard_link(grave_path(graves, grave), path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn take_back_name(
    record: &Record,
    root: &Path,
    graves: &Path,
    places: &mut Places,
) -> io::Result<()> {
    match record {
        Record::Named {
            folder,
            name,
            what,
            is_folder,
        } => {
            let Some(path) = places.of(*folder, name) else {
                return Ok(());
            };
            if inode_at(&path) != Some(*what) {
                return Ok(());
            }
            if *is_folder {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            }
        }
        Record::Unnamed {
            folder,
            name,
            what,
            grave,
        } => {
            let Some(path) = places.of(*folder, name) else {
                return Ok(());
            };
            if grave.is_none() && !path.exists() {
                fs::create_dir(&path)?;
                places.0.insert(*what, path);
                return Ok(());
            }
            bring_back(&path, graves, *grave)
        }
        Record::Renamed {
            from,
            name,
            to,
            other,
            what,
            grave,
        } => {
            let (Some(path), Some(target)) = (places.of(*from, name), places.of(*to, other)) else {
                return Ok(());
            };
            if inode_at(&target) == Some(*what) && inode_at(&path) != Some(*what) {
                fs::rename(&target, &path)?;
                if path.is_dir() {
                    places.look(root)?;
                }
            }
            bring_back(&target, graves, *grave)
        }
        _ => Ok(()),
    }
}
