//! What the engines leave mounted in the test's folder: dockerd its data and podman its storage, on themselves. While they
//! are mounted the folder cannot be removed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use harness::tools;

/// Takes away every mount below the folder, the deepest first.
pub fn unmount_below(folder: &Path) -> anyhow::Result<()> {
    let mut mounts = mounted_below(folder)?;
    mounts.reverse();
    for mount in mounts {
        tools::run(
            Command::new(tools::find("umount")?)
                .arg("--lazy")
                .arg(mount),
        )?;
    }
    let left = mounted_below(folder)?;
    ensure!(left.is_empty(), "still mounted: {left:?}");
    Ok(())
}

/// The mounts below the folder, in the order in which they were mounted.
fn mounted_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    // A mount's place is the second word; spaces in it are written otherwise, so it is one word (proc(5)).
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let below = places.map(PathBuf::from);
    Ok(below.filter(|place| place.starts_with(folder)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_can_be_removed_after_its_mounts() {
        let folder = tempfile::tempdir().unwrap();
        let [outer, inner] = ["outer", "outer/inner"].map(|name| folder.path().join(name));
        for place in [&outer, &inner] {
            std::fs::create_dir_all(place).unwrap();
            let mut mount = Command::new("mount");
            tools::run(mount.args(["-t", "tmpfs", "none"]).arg(place)).unwrap();
        }
        assert!(std::fs::remove_dir_all(folder.path()).is_err());
        unmount_below(folder.path()).unwrap();
        folder.close().unwrap();
    }
}
