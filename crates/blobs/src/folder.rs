//! Blobs in a folder of this machine.
//!
//! A piece is written below `staging` as it comes and then renamed to its place; parts stay files of their own, and a
//! completed upload is the folder that holds them. What is acknowledged survives a loss of power (the order is in
//! `piece` and `multipart`), and nothing blocks the runtime's threads.

mod durable;
mod failure;
mod layout;
mod listing;
mod multipart;
mod part_list;
mod piece;
mod read;
mod staged;

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use metadata::{MultipartId, ObjectKey};
use ports::{
    BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, ListedObject, ListedUpload,
    StagedBytes, Target,
};
use rustix::fs::{Mode, OFlags};
use tokio::task::JoinError;
use uuid::Uuid;

use crate::settings::FolderSettings;
use crate::steps::{self, step};
use durable::{DurableFolders, parent};
use durable_files::sync_folder;
use layout::Layout;
use read::BlockPool;
use staged::StagedFile;

/// The one line of the file `format`.
const FORMAT: &str = "holdfast blobs 1\n";

/// A blob store in a folder. Clones are the same store.
#[derive(Debug, Clone)]
pub struct FolderStore {
    shared: Arc<Shared>,
}

/// How much room the folder's file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    layout: Arc<Layout>,
    durable: DurableFolders,
    pool: Arc<BlockPool>,
    /// Where bytes of this start of the process are staged.
    staging: PathBuf,
    /// Held as long as the store is open, so that another start does not clean up beneath it.
    _lock: File,
}

impl FolderStore {
    /// Opens the folder, makes it when it is missing, and removes what earlier starts left half-way.
    ///
    /// Fails with [`BlobFailure::Denied`] when it cannot be written, and with [`BlobFailure::Other`] when a newer
    /// version made it.
    pub async fn open(settings: &FolderSettings) -> Result<FolderStore, BlobFailure> {
        let Some(root) = settings.path.clone() else {
            return Err(BlobFailure::Other {
                reason: "no folder for blobs is set".to_owned(),
            });
        };
        blocking(move || {
            let shared =
                Shared::open(&root).map_err(|error| failure::failure(&error, "open", &root))?;
            Ok(FolderStore {
                shared: Arc::new(shared),
            })
        })
        .await
    }

    /// How much room there is.
    pub fn free_space(&self) -> Result<FreeSpace, BlobFailure> {
        let root = &self.shared.layout.root;
        let space = rustix::fs::statvfs(root)
            .map_err(|errno| failure::failure(&errno.into(), "look at", root))?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Ok(FreeSpace {
            free_bytes: bytes(space.f_bavail),
            total_bytes: bytes(space.f_blocks),
        })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, BlobFailure> + Send + 'static,
    ) -> Result<T, BlobFailure> {
        let shared = Arc::clone(&self.shared);
        blocking(move || work(&shared)).await
    }
}

impl Shared {
    fn open(root: &Path) -> io::Result<Shared> {
        let layout = Layout::new(root);
        let durable = DurableFolders::below(root)?;
        check_format(&layout)?;
        for folder in [&layout.objects, &layout.uploads, &layout.staging] {
            durable.ensure(folder)?;
        }
        // One start at a time: between its making and its locking, another would take a lock for a leaving.
        let starting = File::open(&layout.staging)?;
        starting.lock()?;
        clean_staging(&layout.staging)?;
        let start = Uuid::new_v4().simple().to_string();
        // The lock comes first: a folder without a held lock is taken for a leaving.
        let lock = create_lock(&layout.staging.join(format!("{start}.lock")))?;
        lock.try_lock().map_err(io::Error::from)?;
        let staging = layout.staging.join(&start);
        fs::create_dir(&staging)?;
        Ok(Shared {
            layout: Arc::new(layout),
            durable,
            pool: Arc::default(),
            staging,
            _lock: lock,
        })
    }

    fn fresh_staging_path(&self) -> PathBuf {
        self.staging.join(Uuid::new_v4().simple().to_string())
    }

    /// Stores a piece. Blocks.
    fn store(&self, piece: &mut piece::Piece, target: &Target) -> Result<(), BlobFailure> {
        match target {
            Target::Object(key) => {
                let path = self.layout.object(key);
                self.durable
                    .ensure(parent(&path))
                    .map_err(|error| failure::failure(&error, "make", parent(&path)))?;
                match piece.store(&path)? {
                    true => Ok(()),
                    false => Err(BlobFailure::Other {
                        reason: format!("{} vanished", parent(&path).display()),
                    }),
                }
            }
            Target::Part {
                key,
                multipart,
                number,
            } => {
                let no_such_upload = || BlobFailure::NoSuchUpload {
                    key: key.to_string(),
                };
                let upload = self
                    .layout
                    .upload(key, multipart)
                    .ok_or_else(no_such_upload)?;
                match piece.store(&upload.join(layout::part_name(*number)))? {
                    true => Ok(()),
                    false => Err(no_such_upload()),
                }
            }
        }
    }

    /// Takes a file or a folder out of its place in one step, then removes it. What is not there is no error. A
    /// crash half-way leaves it below `staging`, where the next start removes it.
    fn discard(&self, path: &Path) -> io::Result<()> {
        let leaving = self.fresh_staging_path();
        match fs::rename(path, &leaving) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(());
            }
            moved => moved?,
        }
        step(steps::FOLDER_DELETE_MOVED)?;
        if leaving.is_dir() {
            fs::remove_dir_all(&leaving)
        } else {
            fs::remove_file(&leaving)
        }
    }

    fn delete(&self, keys: &[ObjectKey]) -> Result<(), BlobFailure> {
        let mut touched: Vec<PathBuf> = Vec::new();
        for key in keys {
            let path = self.layout.object(key);
            self.discard(&path)
                .map_err(|error| failure::failure(&error, "remove", &path))?;
            touched.push(parent(&path).to_owned());
        }
        touched.sort();
        touched.dedup();
        // Else a loss of power might bring back what the log counts as deleted, and nobody would ask again.
        for folder in touched.iter().filter(|folder| folder.is_dir()) {
            sync_folder(folder).map_err(|error| failure::failure(&error, "sync", folder))?;
        }
        Ok(())
    }
}

fn check_format(layout: &Layout) -> io::Result<()> {
    let path = layout.format_file();
    match fs::read_to_string(&path) {
        Ok(text) if text == FORMAT => Ok(()),
        // An empty one was left by a loss of power when the folder was new.
        Ok(text) if !text.is_empty() => {
            let reason = format!(
                "its format is {:?}, made by a newer version or another program",
                text.trim_end()
            );
            Err(io::Error::new(ErrorKind::InvalidData, reason))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => {
            fs::write(&path, FORMAT)?;
            File::open(&path)?.sync_all()
        }
    }
}

/// A new file that is open for reading only, so that it keeps no file system from being made read-only.
fn create_lock(path: &Path) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Removes what earlier starts left. What a living process holds stays.
fn clean_staging(staging: &Path) -> io::Result<()> {
    let entries: Result<Vec<_>, _> = fs::read_dir(staging)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let starts: BTreeSet<PathBuf> = entries?
        .into_iter()
        .map(|path| path.with_extension(""))
        .collect();
    for folder in starts {
        let lock_path = folder.with_extension("lock");
        let lock = match File::open(&lock_path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        match lock.as_ref().map(File::try_lock) {
            Some(Err(TryLockError::WouldBlock)) => continue,
            Some(Err(TryLockError::Error(error))) => return Err(error),
            Some(Ok(())) | None => {}
        }
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed?,
        }
        piece::remove_if_there(&lock_path)?;
    }
    Ok(())
}

/// Runs blocking work off the runtime's threads. When the future is dropped, the work goes on to its end.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobFailure> + Send + 'static,
) -> Result<T, BlobFailure> {
    joined(tokio::task::spawn_blocking(work).await).flatten()
}

/// The result of blocking work; its panic goes on in the caller.
fn joined<T>(ended: Result<T, JoinError>) -> Result<T, BlobFailure> {
    ended.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => BlobFailure::Unavailable {
            reason: "the process is stopping".to_owned(),
            retry_after: None,
        },
    })
}

#[async_trait]
impl BlobStore for FolderStore {
    async fn stage(&self, size_max: u64) -> Result<Box<dyn StagedBytes>, BlobFailure> {
        let path = self.shared.fresh_staging_path();
        Ok(Box::new(StagedFile::new(
            Arc::clone(&self.shared),
            path,
            size_max,
        )))
    }

    async fn begin_multipart(&self, key: &ObjectKey) -> Result<MultipartId, BlobFailure> {
        let key = key.clone();
        self.with(move |shared| multipart::begin(shared, &key))
            .await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        parts: &[CompletedPart],
    ) -> Result<(), BlobFailure> {
        let (key, multipart, parts) = (key.clone(), multipart.clone(), parts.to_vec());
        self.with(move |shared| multipart::complete(shared, &key, &multipart, &parts))
            .await
    }

    async fn abort_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<(), BlobFailure> {
        let (key, multipart) = (key.clone(), multipart.clone());
        self.with(move |shared| multipart::abort(shared, &key, &multipart))
            .await
    }

    async fn read(&self, key: &ObjectKey, span: ByteSpan) -> Result<ByteStream, BlobFailure> {
        read::open(
            Arc::clone(&self.shared.layout),
            Arc::clone(&self.shared.pool),
            key.clone(),
            span,
        )
        .await
    }

    async fn object_size(&self, key: &ObjectKey) -> Result<u64, BlobFailure> {
        let key = key.clone();
        self.with(move |shared| read::object_size(&shared.layout, &key))
            .await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BlobFailure> {
        let keys = keys.to_vec();
        self.with(move |shared| shared.delete(&keys)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<ListedObject>, BlobFailure> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.with(move |shared| listing::list(&shared.layout, &prefix, after.as_deref()))
            .await
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<ListedUpload>, BlobFailure> {
        let prefix = prefix.to_owned();
        self.with(move |shared| listing::list_multipart(&shared.layout, &prefix))
            .await
    }

    fn describe(&self) -> String {
        format!("folder {}", self.shared.layout.root.display())
    }
}
